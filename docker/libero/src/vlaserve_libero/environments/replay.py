"""Recorded observations instead of a simulator: nothing moves, only the policy's answers count.

The suite's name is a folder with pictures and either

* `index.json`: a list of objects with "observation/image" and "observation/wrist_image" (names of
  PNG files beside it), "observation/state" (numbers), "prompt", and optionally "task_id",
  "init_state" and "step"; or
* one JSON object per observation, `*.json`: "observation/state", "prompt", "files" with "agentview"
  and "wrist", and optionally "suite", "task_id", "init_state_index" and "settle_steps".

Observations of one prompt (and suite) are a task; those of one init state are one episode, in the
order of their steps. The answer to an observation changes nothing: the next observation that is
asked for is the next one recorded. An episode is done, and so counts as a success, when all its
observations were answered and the actions executed. This success says that the policy answered,
not that it solved the task.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from vlaserve_libero.environments.base import Environment, SimulatorError, Step, Suite, Task
from vlaserve_libero.environments.checks import checked_action, checked_init_state
from vlaserve_libero.policies.base import IMAGE, PROMPT, STATE, WRIST_IMAGE

ACTION_DIM = 7


@dataclass(frozen=True)
class _Observation:
    image: Path
    wrist_image: Path
    state: npt.NDArray[np.float64]
    prompt: str
    group: str  # the recorded suite, if it is told
    task_id: int
    init_state: int
    step: int


@dataclass(frozen=True)
class _Recording:
    tasks: List[Task]
    episodes: List[List[List[_Observation]]]  # [task][episode][observation]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SimulatorError(f"cannot read {path}: {error}") from error


def _field(entry: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    if not isinstance(entry.get(key), kind):
        raise SimulatorError(f"{where}: {key!r} must be of type {kind.__name__}")
    return entry[key]


def _number(entry: Mapping[str, Any], key: str, where: str) -> int:
    return int(_field(entry, key, int, where)) if key in entry else 0


def _observation(entry: Any, source: Path, where: str) -> _Observation:
    if not isinstance(entry, dict):
        raise SimulatorError(f"{where}: expected an object")
    single = "files" in entry
    names = _field(entry, "files", dict, where) if single else entry
    image, wrist = ("agentview", "wrist") if single else (IMAGE, WRIST_IMAGE)
    pictures = [source.parent / _field(names, key, str, where) for key in (image, wrist)]
    for picture in pictures:
        if not picture.is_file():
            raise SimulatorError(f"{where}: there is no file {picture}")
    try:
        state = np.array(_field(entry, STATE, list, where), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SimulatorError(f"{where}: {STATE!r} must be a list of numbers") from error
    if state.ndim != 1 or not np.isfinite(state).all():
        raise SimulatorError(f"{where}: {STATE!r} must be a list of finite numbers")
    return _Observation(
        image=pictures[0],
        wrist_image=pictures[1],
        state=state,
        prompt=_field(entry, PROMPT, str, where),
        group=_field(entry, "suite", str, where) if "suite" in entry else "",
        task_id=_number(entry, "task_id", where),
        init_state=_number(entry, "init_state_index" if single else "init_state", where),
        step=_number(entry, "settle_steps" if single else "step", where),
    )


def _observations(folder: Path) -> List[_Observation]:
    if not folder.is_dir():
        raise SimulatorError(
            f"environment 'replay' takes a folder with recorded observations as its suite; "
            f"{folder} is not a folder"
        )
    index = folder / "index.json"
    if index.is_file():
        entries = _read_json(index)
        if not isinstance(entries, list):
            raise SimulatorError(f"{index}: expected a list of observations")
        found = [_observation(e, index, f"{index}, entry {i}") for i, e in enumerate(entries)]
    else:
        files = sorted(folder.glob("*.json"))
        found = [_observation(_read_json(file), file, str(file)) for file in files]
    if not found:
        raise SimulatorError(
            f"{folder} has no index.json and no other .json file that says what was observed"
        )
    return found


def _recording(folder: Path) -> _Recording:
    episodes: Dict[Tuple[str, int, str], Dict[int, List[_Observation]]] = {}
    for one in _observations(folder):
        task = episodes.setdefault((one.group, one.task_id, one.prompt), {})
        task.setdefault(one.init_state, []).append(one)
    keys = sorted(episodes)
    return _Recording(
        tasks=[
            Task(i, "_".join([group, *prompt.split()] if group else prompt.split()), prompt)
            for i, (group, _, prompt) in enumerate(keys)
        ],
        episodes=[
            [sorted(episodes[key][s], key=lambda o: o.step) for s in sorted(episodes[key])]
            for key in keys
        ],
    )


def suite(name: str) -> Suite:
    """The recorded tasks of a folder.

    Args:
        name: The folder.

    Returns:
        The suite, named after the folder; as many init states as the task with the fewest recorded
        episodes has.

    Raises:
        SimulatorError: There is no such folder, or a file in it is not as described above.
    """
    folder = Path(name)
    recording = _recording(folder)
    init_states = min(len(e) for e in recording.episodes)
    return Suite(folder.resolve().name, recording.tasks, init_states, ACTION_DIM)


def _picture(path: Path) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(path) as picture:
            if picture.mode != "RGB":
                raise SimulatorError(f"{path}: mode is {picture.mode}, expected RGB")
            return np.array(picture)
    except (OSError, UnidentifiedImageError) as error:
        raise SimulatorError(f"cannot read {path}: {error}") from error


class ReplayEnvironment(Environment):
    """The recorded episodes of one task.

    Args:
        suite_name: The folder.
        task_id: Index into the suite's tasks.
    """

    def __init__(self, suite_name: str, task_id: int) -> None:
        recording = _recording(Path(suite_name))
        self.task = recording.tasks[task_id]
        self._episodes = recording.episodes[task_id]
        self._observations: List[_Observation] = []
        self._index = 0
        self._closed = False

    def reset(
        self,
        init_state: int,
        *,
        seed: Optional[int] = None,
        settle_steps: int = 10,
        frame: bool = False,
    ) -> Step:
        """See Environment. Nothing is random and nothing settles here.

        Args:
            init_state: Index of the recorded episode.
            seed: Of no effect.
            settle_steps: Of no effect.
            frame: Whether the result needs its frame.
        """
        self._check_open()
        self._observations = self._episodes[checked_init_state(init_state, len(self._episodes))]
        self._index = 0
        return self._step(done=False, observation=True, frame=frame)

    def step(
        self, action: npt.NDArray[np.float64], *, observation: bool, frame: bool = False
    ) -> Step:
        """See Environment. Asking for an observation moves on to the next one recorded."""
        self._check_open()
        if not self._observations:
            raise SimulatorError("step was called before reset")
        checked_action(action, ACTION_DIM)
        done = False
        if observation:
            done = self._index + 1 == len(self._observations)
            self._index = min(self._index + 1, len(self._observations) - 1)
        return self._step(done=done, observation=observation, frame=frame)

    def privileged(self) -> Dict[str, npt.NDArray[np.float64]]:
        """Empty: positions were not recorded."""
        self._check_open()
        return {}

    def close(self) -> None:
        """See Environment."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise SimulatorError("the environment is closed")

    def _step(self, *, done: bool, observation: bool, frame: bool) -> Step:
        now = self._observations[self._index]
        return Step(
            observation={
                IMAGE: _picture(now.image),
                WRIST_IMAGE: _picture(now.wrist_image),
                STATE: now.state.copy(),
                PROMPT: now.prompt,
            }
            if observation
            else None,
            done=done,
            frame=_picture(now.image) if frame else None,
        )


ENVIRONMENT = ReplayEnvironment
