"""A pick-and-place controller that knows where things are: a policy that succeeds without a model.

It reads true positions (`Environment.privileged`), no picture. With it an evaluation, its
environments and the transport of actions can be tested against a known success: it solves all ten
tasks of libero_object (5 of 5 for init states 0 to 4 of each), and the "fake" environment.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np
import numpy.typing as npt

from vlaserve_libero.environments.base import Environment
from vlaserve_libero.policies.base import PolicyError

Vector = npt.NDArray[np.float64]

# Object -> (height of the grasp above the object's origin, its offset along x), metres. The palm
# is 34 mm above the point that eef_pos names, so tall things are taken near their top. Some
# targets have a neighbour just where the hand comes down: these are taken a little off centre.
_GRASPS: Dict[str, Tuple[float, float]] = {
    "alphabet_soup": (0.010, 0.0),
    "cream_cheese": (0.005, -0.020),
    "salad_dressing": (0.050, -0.008),
    "bbq_sauce": (0.030, -0.010),
    "ketchup": (0.050, 0.0),
    "tomato_sauce": (0.010, -0.012),
    "butter": (0.005, 0.0),
    "milk": (0.038, 0.0),
    "chocolate_pudding": (0.005, 0.0),
    "orange_juice": (0.038, -0.008),
}
_DEFAULT_GRASP = (0.005, 0.0)

_METRES_PER_ACTION = 0.0125  # measured in LIBERO: steady motion at action 1
_GAIN = 0.8 / 0.05  # action per metre of distance; 1 is a target 5 cm away
_RETRY_OFFSET = 0.012  # metres further off centre after a missed grasp

_OPEN, _CLOSED = -1.0, 1.0
_ABOVE, _DOWN, _CLOSE, _LIFT, _CARRY, _LOWER, _RELEASE = range(7)


@dataclass
class Scene:
    """What the controller sees, each [3] in metres."""

    eef: Vector
    object: Vector
    target: Vector

    @classmethod
    def of(cls, environment: Environment) -> Scene:
        """The environment's present state.

        Raises:
            PolicyError: The environment does not tell positions.
        """
        positions = environment.privileged()
        if not positions:
            raise PolicyError(
                f"the scripted controller cannot act in task {environment.task.name!r}: the "
                "environment does not tell where an object and its target are; "
                "it can in libero_object"
            )
        return cls(positions["eef_pos"], positions["object_pos"], positions["target_pos"])


class Controller:
    """The state machine: above the object, down, close, lift, carry, lower, release."""

    def __init__(self, object_name: str) -> None:
        """Prepares for one episode.

        Args:
            object_name: As in the task's name; an unknown one is taken at its middle.
        """
        self._height, self._offset = _GRASPS.get(object_name, _DEFAULT_GRASP)
        self._phase = _ABOVE
        self._held_for = 0  # steps in this phase
        self._object_start: Optional[Vector] = None
        self._target_start: Vector = np.zeros(3)

    @property
    def carrying(self) -> bool:
        """Whether the object should be in the hand and move with it."""
        return self._phase in (_LIFT, _CARRY)

    def act(self, scene: Scene) -> Vector:
        """The next action, float64 [7]."""
        if self._object_start is None:
            self._object_start = scene.object.copy()
            self._target_start = scene.target.copy()
        ground = float(self._object_start[2])
        goal, finished = self._goal(scene, ground)
        gripper = _CLOSED if self._phase in (_CLOSE, _LIFT, _CARRY, _LOWER) else _OPEN
        self._held_for += 1
        if finished:
            if self._phase == _LIFT and scene.object[2] < ground + 0.05:
                self._offset -= _RETRY_OFFSET  # nothing in the hand
                self._enter(_ABOVE)
            else:
                self._enter(self._phase + 1)
        action = np.zeros(7)
        action[:3] = np.clip((goal - scene.eef) * _GAIN, -1.0, 1.0)
        action[6] = gripper
        return action

    def _enter(self, phase: int) -> None:
        self._phase = phase
        self._held_for = 0

    def _goal(self, scene: Scene, ground: float) -> Tuple[Vector, bool]:
        """Where the hand should go in this phase, and whether the phase ends with this step."""
        eef = scene.eef
        grasp = scene.object + np.array([self._offset, 0.0, self._height])
        over_x, over_y = self._target_start[:2]
        if self._phase == _ABOVE:
            goal = grasp + np.array([0.0, 0.0, 0.12])
            distance = np.abs(goal - eef)
            there = max(distance[0], distance[1]) < 0.008 and distance[2] < 0.03
            return goal, bool(there) or self._held_for > 50
        if self._phase == _DOWN:
            there = np.linalg.norm(grasp - eef) < 0.010
            return grasp, bool(there) or self._held_for > 25
        if self._phase == _CLOSE:
            return eef, self._held_for >= 8
        if self._phase == _LIFT:
            goal = np.array([eef[0], eef[1], ground + 0.30])
            return goal, bool(eef[2] > ground + 0.26) or self._held_for > 30
        if self._phase == _CARRY:
            goal = np.array([over_x, over_y, ground + 0.30])
            return goal, bool(np.linalg.norm((goal - eef)[:2]) < 0.02)
        if self._phase == _LOWER:
            return np.array([over_x, over_y, ground + 0.20]), self._held_for > 10
        # Released: move to and fro, which shakes off what sticks to a finger.
        sway = 0.03 * (-1) ** (self._held_for // 6) if self._held_for > 12 else 0.0
        return eef + np.array([0.0, sway, 0.0]), False


def object_of(task_name: str) -> str:
    """The object that a task's name tells to pick up: "milk" in "pick_up_the_milk_and_place_...".

    Returns:
        The empty string if the name has another form.
    """
    start, end = "pick_up_the_", "_and_place_it_"
    if not task_name.startswith(start) or end not in task_name:
        return ""
    return task_name[len(start) : task_name.index(end)]


class ScriptedPolicy:
    """The controller as an EnvironmentPolicy: answers with chunks, as a server would.

    A chunk is the controller run on from the present state with a predicted position of the hand.

    Args:
        replan_steps: How many actions of each chunk are executed before the next question.
        horizon: Rows of a chunk.
    """

    def __init__(self, *, replan_steps: int = 5, horizon: int = 10) -> None:
        if not 1 <= replan_steps <= horizon:
            raise PolicyError(f"replan_steps is {replan_steps}, expected 1 to {horizon} (horizon)")
        self._replan_steps = replan_steps
        self._horizon = horizon
        self._environment: Optional[Environment] = None
        self._controller: Optional[Controller] = None

    def reset(self) -> None:
        """See Policy."""
        self._environment = None
        self._controller = None

    def begin_episode(self, environment: Environment) -> None:
        """See EnvironmentPolicy."""
        self._environment = environment
        self._controller = Controller(object_of(environment.task.name))

    def infer(self, obs: Mapping[str, Any]) -> Dict[str, Any]:
        """See Policy. The observation is not looked at.

        Returns:
            "actions": float64 [horizon, 7].

        Raises:
            PolicyError: No episode has begun, or the environment does not tell positions.
        """
        if self._environment is None or self._controller is None:
            raise PolicyError("begin_episode must be called before infer")
        scene = Scene.of(self._environment)
        ahead = self._controller
        actions: List[Vector] = []
        for row in range(self._horizon):
            if row == self._replan_steps:
                # The rows from here on will not be executed: the controller must not remember them.
                ahead = copy.copy(ahead)
            action = ahead.act(scene)
            moved = _METRES_PER_ACTION * action[:3]
            carried = moved if ahead.carrying else np.zeros(3)
            scene = Scene(scene.eef + moved, scene.object + carried, scene.target)
            actions.append(action)
        return {"actions": np.array(actions)}
