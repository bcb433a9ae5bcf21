"""A toy world without a simulator: a point-like hand carries a block to a basket.

It has LIBERO's interface (seven actions, eight state numbers, two cameras) and takes microseconds
per step, so that everything around an environment can be tried quickly and exactly. Motion is
kinematic: an action of 1 moves the hand by 1.25 cm, rotations are ignored. The block is held while
the gripper is closed around it, and falls straight down when the gripper opens; the task is done
when it lies in the basket.
"""

from __future__ import annotations

import time
from typing import Any, Dict, Optional, Tuple

import numpy as np
import numpy.typing as npt

from vlaserve_libero.environments.base import Environment, SimulatorError, Step, Suite, Task
from vlaserve_libero.environments.checks import checked_action, checked_init_state
from vlaserve_libero.policies.base import IMAGE, PROMPT, STATE, WRIST_IMAGE

SUITE = "pick_and_place"
ACTION_DIM = 7
INIT_STATES = 50

_COLORS = {"red": (200, 40, 40), "green": (40, 170, 60), "blue": (50, 70, 200)}
_METRES_PER_ACTION = 0.0125
_OPEN = 0.04  # position of an open finger, metres
_FINGER_SPEED = 0.01  # metres per step
_HALF_BLOCK = 0.02  # metres
_GRASP_DISTANCE = 0.02  # metres between hand and block
_BASKET_RADIUS = 0.06  # metres
_HOME = (-0.15, 0.0, 0.25)
_BASKET = (0.05, 0.25, 0.0)
_VIEW = 0.45  # metres from the middle of the agent's picture to its edge
_WRIST_VIEW = 0.15


def _names() -> Tuple[str, ...]:
    return tuple(f"pick_up_the_{c}_block_and_place_it_in_the_basket" for c in _COLORS)


def suite(name: str) -> Suite:
    """The one suite of this environment.

    Raises:
        SimulatorError: Another one was asked for.
    """
    if name != SUITE:
        raise SimulatorError(f"environment 'fake' has no suite {name!r}; it has {SUITE}")
    tasks = [Task(i, n, n.replace("_", " ")) for i, n in enumerate(_names())]
    return Suite(SUITE, tasks, INIT_STATES, ACTION_DIM)


class FakeEnvironment(Environment):
    """One task of the toy world.

    Args:
        suite_name: "pick_and_place".
        task_id: 0, 1 or 2: the red, green or blue block.
        resolution: Height and width of the pictures.
        delay_s: Every step takes at least this long.
        fail_at: In each episode, this step (1 is the first after settling) is a simulator error.
        fail_init_state: Limits `fail_at` to the episodes of one init state.
    """

    def __init__(
        self,
        suite_name: str,
        task_id: int,
        *,
        resolution: int = 256,
        delay_s: float = 0.0,
        fail_at: Optional[int] = None,
        fail_init_state: Optional[int] = None,
    ) -> None:
        if resolution < 8:
            raise SimulatorError(f"option resolution is {resolution}, expected 8 or more")
        if fail_init_state is not None and fail_at is None:
            raise SimulatorError("option fail_init_state has no meaning without fail_at")
        self.task = suite(suite_name).tasks[task_id]
        self._color = np.array(list(_COLORS.values())[task_id], np.uint8)
        self._resolution = resolution
        self._delay_s = delay_s
        self._fail_at = fail_at
        self._fail_init_state = fail_init_state
        self._random = np.random.RandomState(0)
        self._ready = False
        self._closed = False

    def reset(
        self,
        init_state: int,
        *,
        seed: Optional[int] = None,
        settle_steps: int = 10,
        frame: bool = False,
    ) -> Step:
        """See Environment. The seed draws the brightness of the background."""
        self._check_open()
        checked_init_state(init_state, INIT_STATES)
        if seed is not None:
            self._random = np.random.RandomState(seed)
        self._background = 90 + int(self._random.randint(40))
        placing = np.random.RandomState([self.task.task_id, init_state])
        self._init_state = init_state
        self._hand = np.array(_HOME)
        self._finger = _OPEN
        x, y = placing.uniform((-0.15, -0.25), (0.10, 0.0))
        self._block = np.array([x, y, _HALF_BLOCK])
        self._basket = np.array(_BASKET)
        self._held = False
        self._steps = 0
        self._ready = True
        for _ in range(settle_steps):
            self._move(np.array([0.0, 0, 0, 0, 0, 0, -1.0]))
        return self._step(observation=True, frame=frame)

    def step(
        self, action: npt.NDArray[np.float64], *, observation: bool, frame: bool = False
    ) -> Step:
        """See Environment."""
        self._check_open()
        if not self._ready:
            raise SimulatorError("step was called before reset")
        checked = checked_action(action, ACTION_DIM)
        self._steps += 1
        if self._steps == self._fail_at and self._fail_init_state in (None, self._init_state):
            self._ready = False
            raise SimulatorError(f"injected fault at step {self._steps}")
        if self._delay_s > 0:
            time.sleep(self._delay_s)
        self._move(checked)
        return self._step(observation=observation, frame=frame)

    def privileged(self) -> Dict[str, npt.NDArray[np.float64]]:
        """See Environment."""
        self._check_open()
        return {
            "eef_pos": self._hand.copy(),
            "object_pos": self._block.copy(),
            "target_pos": self._basket.copy(),
        }

    def close(self) -> None:
        """See Environment."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise SimulatorError("the environment is closed")

    def _move(self, action: npt.NDArray[np.float64]) -> None:
        before = self._hand.copy()
        self._hand += _METRES_PER_ACTION * np.clip(action[:3], -1.0, 1.0)
        self._hand[2] = max(self._hand[2], _HALF_BLOCK)
        closing = action[6] > 0
        speed = -_FINGER_SPEED if closing else _FINGER_SPEED
        self._finger = float(np.clip(self._finger + speed, 0.0, _OPEN))
        if self._held:
            self._finger = max(self._finger, _HALF_BLOCK)
            self._block += self._hand - before
            if not closing:
                self._held = False
                self._block[2] = _HALF_BLOCK
        elif closing and self._finger <= _HALF_BLOCK:
            self._held = float(np.linalg.norm(self._hand - self._block)) < _GRASP_DISTANCE

    def _done(self) -> bool:
        offset = self._block[:2] - self._basket[:2]
        return not self._held and float(np.linalg.norm(offset)) < _BASKET_RADIUS

    def _step(self, *, observation: bool, frame: bool) -> Step:
        return Step(
            observation=self._observe() if observation else None,
            done=self._done(),
            frame=self._draw((0.0, 0.0), _VIEW) if frame else None,
        )

    def _observe(self) -> Dict[str, Any]:
        rotation = (np.pi, 0.0, 0.0)  # the hand points down
        return {
            IMAGE: self._draw((0.0, 0.0), _VIEW),
            WRIST_IMAGE: self._draw((self._hand[0], self._hand[1]), _WRIST_VIEW),
            STATE: np.array([*self._hand, *rotation, self._finger, -self._finger]),
            PROMPT: self.task.prompt,
        }

    def _draw(self, middle: Tuple[float, float], view: float) -> npt.NDArray[np.uint8]:
        """The scene from above; `view` is the distance from the middle to an edge in metres."""
        size = self._resolution
        picture = np.full((size, size, 3), self._background, np.uint8)

        def square(position: npt.NDArray[np.float64], half: float, color: Any) -> None:
            row, column = (
                round((p - m + view) / (2 * view) * size) for p, m in zip(position, middle)
            )
            reach = max(1, round(half / (2 * view) * size))
            rows = slice(max(0, row - reach), max(0, row + reach))
            columns = slice(max(0, column - reach), max(0, column + reach))
            picture[rows, columns] = color

        square(self._basket, _BASKET_RADIUS, (150, 110, 60))
        square(self._block, _HALF_BLOCK, self._color)
        shade = int(np.clip(self._hand[2] / 0.4, 0.0, 1.0) * 255)  # brighter: higher
        square(self._hand, 0.008 + self._finger / 4, (shade, shade, shade))
        return picture


ENVIRONMENT = FakeEnvironment
