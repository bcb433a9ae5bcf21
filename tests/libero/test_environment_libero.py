"""The real LIBERO: same pictures and states as it gives by itself, and a known success.

These tests need a Python with LIBERO; test_environment_under_libero.py runs them in the one that
$VLASERVE_LIBERO_PYTHON names.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from vlaserve_libero.environments import registry
from vlaserve_libero.environments.base import Environment, SimulatorError, Step
from vlaserve_libero.environments.libero import LiberoEnvironment
from vlaserve_libero.policies.base import IMAGE, PROMPT, STATE, WRIST_IMAGE
from vlaserve_libero.policies.open_loop import OpenLoopReplay
from vlaserve_libero.policies.scripted import ScriptedPolicy

if importlib.util.find_spec("libero") is None:
    pytest.skip(
        "LIBERO is not installed in this Python (docker/libero/install_simulator.sh)",
        allow_module_level=True,
    )

_REPOSITORY = Path(__file__).resolve().parents[2]
_GOLDEN = Path(os.environ.get("VLASERVE_GOLDEN_DIR", _REPOSITORY / "tests" / "golden"))
_SHIFTS = _REPOSITORY / "configs" / "demo_policy" / "eval_shifts.json"
_ACTION = np.array([0.3, -0.2, -0.5, 0.1, 0.0, 0.2, 1.0])


@pytest.fixture(scope="module")
def soup() -> Iterator[Environment]:
    """Task 0 of libero_object, "alphabet soup"."""
    environment = registry.make("libero", "libero_object", 0)
    yield environment
    environment.close()


def _equal(a: Step, b: Step) -> bool:
    assert a.observation is not None
    assert b.observation is not None
    return all(np.array_equal(a.observation[k], b.observation[k]) for k in a.observation)


def test_the_suites_are_libero_s() -> None:
    for name, tasks in (
        ("libero_spatial", 10),
        ("libero_object", 10),
        ("libero_goal", 10),
        ("libero_10", 10),
        ("libero_90", 90),
    ):
        suite = registry.suite("libero", name)
        assert (len(suite.tasks), suite.init_states, suite.action_dim) == (tasks, 50, 7)
    prompts = [t.prompt for t in registry.suite("libero", "libero_90").tasks]
    assert "close the top drawer of the cabinet" in prompts
    with pytest.raises(SimulatorError, match="no suite 'libero_11'; installed are libero_spatial"):
        registry.suite("libero", "libero_11")


def _assert_golden(step: Step, name: str) -> None:
    golden = json.loads((_GOLDEN / "libero_obs" / f"{name}.json").read_text())
    assert step.observation is not None
    assert step.observation[PROMPT] == golden["prompt"]
    # Other processors differ in the last bit.
    assert np.abs(step.observation[STATE] - golden[STATE]).max() < 1e-12
    for key, camera in ((IMAGE, "agentview"), (WRIST_IMAGE, "wrist")):
        with Image.open(_GOLDEN / "libero_obs" / f"{name}.{camera}.png") as picture:
            difference = np.abs(np.array(picture, np.int16) - step.observation[key])
        # The assets may differ in the resolution of textures and in a few objects' looks.
        assert difference.mean() < 3.0


def test_an_observation_is_that_of_openpis_client(soup: Environment) -> None:
    step = soup.reset(0, seed=7)
    _assert_golden(step, "libero_object_t0_s0_k10")
    assert not step.done


def test_fixtures_stand_where_the_seed_puts_them() -> None:
    environment = registry.make("libero", "libero_goal", 1)
    _assert_golden(environment.reset(0, seed=7), "libero_goal_t1_s0_k10")
    first = environment.reset(0, seed=7)
    goes_on = environment.reset(0)
    assert not _equal(first, goes_on)
    assert _equal(environment.reset(0, seed=7), first)
    environment.close()


def test_pictures_on_demand_are_those_of_rendering_always(soup: Environment) -> None:
    always = registry.make("libero", "libero_object", 0, render="always")
    first = always.reset(2, seed=7, frame=True)
    second = soup.reset(2, seed=7, frame=True)
    assert _equal(first, second)
    assert np.array_equal(np.array(first.frame), np.array(second.frame))
    for number in range(1, 16):
        asked = number % 7 == 0
        film = number % 3 == 0
        first = always.step(_ACTION, observation=True, frame=True)
        second = soup.step(_ACTION, observation=asked, frame=film)
        assert (second.observation is not None) == asked
        assert (second.frame is not None) == film
        if asked:
            assert _equal(first, second)
        if film:
            assert first.frame is not None
            assert second.frame is not None
            assert np.array_equal(first.frame, second.frame)
            assert second.frame.std() > 5  # not blank
    always.close()


def test_only_pictures_that_are_asked_for_are_rendered(
    soup: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    soup.reset(0, settle_steps=0)
    assert isinstance(soup, LiberoEnvironment)
    simulator = soup._simulation.sim
    render = simulator.render
    cameras: List[str] = []

    def counted(**options: Any) -> Any:
        cameras.append(options["camera_name"])
        return render(**options)

    monkeypatch.setattr(simulator, "render", counted)
    soup.step(_ACTION, observation=True, frame=True)
    assert sorted(cameras) == ["agentview", "robot0_eye_in_hand"]
    cameras.clear()
    soup.step(_ACTION, observation=False)
    assert cameras == []
    soup.step(_ACTION, observation=False, frame=True)
    assert cameras == ["agentview"]


def test_an_episode_does_not_depend_on_the_one_before(soup: Environment) -> None:
    first = soup.reset(1, seed=7)
    for _ in range(10):
        soup.step(_ACTION, observation=False)
    assert _equal(soup.reset(1, seed=7), first)


def test_without_settling_the_init_state_itself_is_observed(soup: Environment) -> None:
    settled = soup.reset(0, seed=7)
    unsettled = soup.reset(0, seed=7, settle_steps=0, frame=True)
    assert not _equal(settled, unsettled)
    assert unsettled.observation is not None
    assert unsettled.observation[IMAGE].std() > 5


def _play(environment: Environment, policy: object, init_state: int) -> bool:
    assert isinstance(policy, (ScriptedPolicy, OpenLoopReplay))
    policy.reset()
    policy.begin_episode(environment)
    environment.reset(init_state, seed=7)
    for _ in range(280 // 5):
        for action in policy.infer({})["actions"][:5]:
            if environment.step(action, observation=False).done:
                return True
    return False


def test_the_scripted_controller_succeeds_without_opengl() -> None:
    environment = registry.make("libero", "libero_object", 2, render="never")
    assert _play(environment, ScriptedPolicy(), 1)
    assert _play(environment, OpenLoopReplay(), 0)
    step = environment.reset(0)
    assert step.observation is not None
    assert set(step.observation) == {STATE, PROMPT}
    with pytest.raises(SimulatorError, match="option render is 'never'"):
        environment.step(_ACTION, observation=False, frame=True)
    environment.close()


def test_a_shift_moves_the_object_and_nothing_else(soup: Environment) -> None:
    shifted = registry.make("libero", "libero_object", 0, render="never", shifts=str(_SHIFTS))
    offsets = {
        (s["task"], s["init"]): (s["dx"], s["dy"])
        for s in json.loads(_SHIFTS.read_text())["shifts"]
    }
    for init_state in (40, 41):
        soup.reset(init_state, seed=7)
        shifted.reset(init_state, seed=7)
        here, there = soup.privileged(), shifted.privileged()
        moved = there["object_pos"] - here["object_pos"]
        assert np.allclose(moved[:2], offsets[0, init_state], atol=2e-3)
        assert np.allclose(there["target_pos"], here["target_pos"], atol=1e-9)
    with pytest.raises(SimulatorError, match="no entry for task 0, init state 0"):
        shifted.reset(0)
    shifted.close()


@pytest.mark.parametrize(
    ("action", "message"),
    [(np.zeros(6), r"shape \(6,\), expected \(7,\)"), (np.full(7, np.inf), "not finite")],
)
def test_a_bad_action_is_refused(
    soup: Environment, action: npt.NDArray[np.float64], message: str
) -> None:
    soup.reset(0, settle_steps=0)
    with pytest.raises(SimulatorError, match=message):
        soup.step(action, observation=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"render": "often"}, "option render is 'often', expected one of needed, always, never"),
        ({"resolution": 0}, "option resolution is 0"),
        ({"shifts": "/no/such.json"}, "option shifts: cannot read /no/such.json"),
    ],
)
def test_a_bad_option_is_refused(options: Dict[str, Any], message: str) -> None:
    with pytest.raises(SimulatorError, match=message):
        registry.make("libero", "libero_object", 0, **options)


def test_a_missing_asset_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import libero.libero

    assets = Path(libero.libero.get_assets_path())
    for part in assets.iterdir():
        if part.name != "stable_hope_objects":
            (tmp_path / part.name).symlink_to(part)
    monkeypatch.setattr(libero.libero, "_assets_path_cache", str(tmp_path))
    with pytest.raises(SimulatorError, match=r"stable_hope_objects.* is missing: get LIBERO's"):
        registry.make("libero", "libero_object", 0)


def test_nothing_works_after_close() -> None:
    environment = registry.make("libero", "libero_object", 0, render="never")
    environment.close()
    with pytest.raises(SimulatorError, match="closed"):
        environment.reset(0)
