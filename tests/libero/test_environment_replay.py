"""Recorded observations come back as they were, in order, and a damaged recording is explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
from PIL import Image

from vlaserve_libero.environments import registry
from vlaserve_libero.environments.base import SimulatorError
from vlaserve_libero.policies.base import IMAGE, PROMPT, STATE, WRIST_IMAGE

_REPOSITORY = Path(__file__).resolve().parents[2]
_CALIBRATION = _REPOSITORY / "configs" / "demo_policy" / "calibration"
_GOLDEN = _REPOSITORY / "tests" / "golden" / "libero_obs"
_ACTION = np.zeros(7)


def _picture(value: int) -> Image.Image:
    return Image.fromarray(np.full((8, 8, 3), value, np.uint8))


def _write(folder: Path, entries: List[Dict[str, Any]]) -> Path:
    for number, entry in enumerate(entries):
        for key, value in ((IMAGE, number), (WRIST_IMAGE, 100 + number)):
            name = f"{number}.{key.split('/')[1]}.png"
            _picture(value).save(folder / name)
            entry.setdefault(key, name)
    (folder / "index.json").write_text(json.dumps(entries))
    return folder


def _entry(**fields: Any) -> Dict[str, Any]:
    return {STATE: [0.5] * 8, PROMPT: "open the drawer", **fields}


def test_observations_come_in_the_order_of_their_steps_one_per_question(tmp_path: Path) -> None:
    steps = (20, 0, 10)
    folder = _write(tmp_path, [_entry(step=s, **{STATE: [float(s)] * 8}) for s in steps])
    environment = registry.make("replay", str(folder), 0)
    step = environment.reset(0, frame=True)
    seen = []
    while not step.done:
        assert step.observation is not None
        seen.append((step.observation[STATE][0], step.observation[IMAGE][0, 0, 0]))
        unasked = environment.step(_ACTION, observation=False)
        assert unasked.observation is None
        assert not unasked.done
        step = environment.step(_ACTION, observation=True, frame=True)
    assert seen == [(0.0, 1), (10.0, 2), (20.0, 0)]
    assert step.frame is not None


def test_tasks_are_prompts_and_episodes_are_init_states(tmp_path: Path) -> None:
    entries = [
        _entry(prompt="open the drawer", task_id=4, init_state=9, **{STATE: [9.0] * 8}),
        _entry(prompt="open the drawer", task_id=4, init_state=2, **{STATE: [2.0] * 8}),
        _entry(prompt="close it", task_id=1, init_state=3),
        _entry(prompt="close it", task_id=1, init_state=4),
        _entry(prompt="close it", task_id=1, init_state=5),
    ]
    folder = str(_write(tmp_path, entries))
    suite = registry.suite("replay", folder)
    assert suite.name == tmp_path.name
    assert [t.name for t in suite.tasks] == ["close_it", "open_the_drawer"]
    assert suite.init_states == 2
    second = registry.make("replay", folder, 1).reset(1).observation
    assert second is not None
    assert second[STATE][0] == 9.0


def test_the_demo_policys_calibration_observations_can_be_replayed() -> None:
    suite = registry.suite("replay", str(_CALIBRATION))
    recorded = json.loads((_CALIBRATION / "index.json").read_text())
    assert len(suite.tasks) == 10
    assert suite.init_states == 2
    environment = registry.make("replay", str(_CALIBRATION), 2)
    step = environment.reset(1)
    wanted = [e for e in recorded if e["task_id"] == 2 and e["init_state"] == 7]
    assert len(wanted) == 3
    for entry in wanted:
        assert not step.done
        assert step.observation is not None
        assert np.array_equal(step.observation[STATE], entry[STATE])
        assert step.observation[PROMPT] == entry[PROMPT]
        with Image.open(_CALIBRATION / entry[WRIST_IMAGE]) as picture:
            assert np.array_equal(step.observation[WRIST_IMAGE], np.array(picture))
        step = environment.step(_ACTION, observation=True)
    assert step.done


def test_single_observations_are_a_recording_too() -> None:
    suite = registry.suite("replay", str(_GOLDEN))
    assert [t.prompt for t in suite.tasks] == [
        "put the bowl on the stove",
        "pick up the alphabet soup and place it in the basket",
    ]
    observation = registry.make("replay", str(_GOLDEN), 1).reset(0).observation
    golden = json.loads((_GOLDEN / "libero_object_t0_s0_k10.json").read_text())
    assert observation is not None
    assert np.array_equal(observation[STATE], golden[STATE])


def _break_nothing(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def _break_json(folder: Path) -> None:
    (folder / "index.json").write_text("[{")


def _break_list(folder: Path) -> None:
    (folder / "index.json").write_text("{}")


def _break_file(folder: Path) -> None:
    (folder / "0.wrist_image.png").unlink()


def _break_prompt(folder: Path) -> None:
    _write(folder, [{STATE: [0.0]}])


def _break_state(folder: Path) -> None:
    _write(folder, [_entry(**{STATE: ["left"]})])


def _break_finite(folder: Path) -> None:
    _write(folder, [_entry(**{STATE: [float("nan")]})])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_break_nothing, "has no index.json"),
        (_break_json, "cannot read .*index.json"),
        (_break_list, "index.json: expected a list"),
        (_break_file, r"entry 0: there is no file .*0.wrist_image.png"),
        (_break_prompt, "entry 0: 'prompt' must be of type str"),
        (_break_state, "entry 0: 'observation/state' must be a list of numbers"),
        (_break_finite, "entry 0: 'observation/state' must be a list of finite numbers"),
    ],
)
def test_a_damaged_recording_is_explained(tmp_path: Path, damage: Any, message: str) -> None:
    damage(_write(tmp_path, [_entry()]))
    with pytest.raises(SimulatorError, match=message):
        registry.suite("replay", str(tmp_path))


def test_a_picture_that_is_not_rgb_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, [_entry()])
    _picture(1).convert("L").save(tmp_path / "0.image.png")
    environment = registry.make("replay", str(tmp_path), 0)
    with pytest.raises(SimulatorError, match=r"0.image.png: mode is L, expected RGB"):
        environment.reset(0)


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(SimulatorError, match="/no/such/place is not a folder"):
        registry.suite("replay", "/no/such/place")


def test_an_action_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    environment = registry.make("replay", str(_write(tmp_path, [_entry()])), 0)
    environment.reset(0)
    with pytest.raises(SimulatorError, match=r"shape \(8,\), expected \(7,\)"):
        environment.step(np.zeros(8), observation=False)
