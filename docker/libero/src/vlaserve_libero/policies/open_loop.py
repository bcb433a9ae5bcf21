"""The baseline that does not look: the same actions in every episode of a task.

How often it succeeds tells how much a suite asks of a policy's eyes. In libero_object objects move
by about a centimetre between init states, so it often does.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

import numpy as np
import numpy.typing as npt

from vlaserve_libero.environments.base import Environment
from vlaserve_libero.policies.base import PolicyError
from vlaserve_libero.policies.scripted import ScriptedPolicy

# What is repeated after the last recorded action: stand still, gripper open.
_AT_THE_END = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0)


class OpenLoopReplay:
    """Plays the scripted controller's actions of one init state of the task.

    They are recorded once per task, when its first episode begins.

    Args:
        replan_steps: How many actions of each chunk are executed before the next question.
        horizon: Rows of a chunk.
        init_state: The one that is recorded.
        seed: Of the recorded episode.
        settle_steps: Of the recorded episode.
        max_steps: The recorded episode must succeed within as many steps.
    """

    def __init__(
        self,
        *,
        replan_steps: int = 5,
        horizon: int = 10,
        init_state: int = 0,
        seed: int = 7,
        settle_steps: int = 10,
        max_steps: int = 280,
    ) -> None:
        self._scripted = ScriptedPolicy(replan_steps=replan_steps, horizon=horizon)
        self._replan_steps = replan_steps
        self._horizon = horizon
        self._init_state = init_state
        self._seed = seed
        self._settle_steps = settle_steps
        self._max_steps = max_steps
        self._recorded: Dict[str, npt.NDArray[np.float64]] = {}
        self._actions: Optional[npt.NDArray[np.float64]] = None
        self._next = 0

    def reset(self) -> None:
        """See Policy."""
        self._actions = None
        self._next = 0

    def begin_episode(self, environment: Environment) -> None:
        """See EnvironmentPolicy. The first time for a task this plays a whole episode."""
        name = environment.task.name
        if name not in self._recorded:
            self._recorded[name] = self._record(environment)
        self._actions = self._recorded[name]
        self._next = 0

    def infer(self, obs: Mapping[str, Any]) -> Dict[str, Any]:
        """See Policy. The observation is not looked at.

        Returns:
            "actions": float64 [horizon, 7].

        Raises:
            PolicyError: No episode has begun.
        """
        if self._actions is None:
            raise PolicyError("begin_episode must be called before infer")
        rows = self._actions[self._next : self._next + self._horizon]
        missing = self._horizon - len(rows)
        self._next += self._replan_steps
        return {"actions": np.concatenate([rows, np.tile(_AT_THE_END, (missing, 1))])}

    def _record(self, environment: Environment) -> npt.NDArray[np.float64]:
        """The actions of one successful scripted episode, float64 [steps, 7]."""
        self._scripted.reset()
        self._scripted.begin_episode(environment)
        environment.reset(self._init_state, seed=self._seed, settle_steps=self._settle_steps)
        actions: List[npt.NDArray[np.float64]] = []
        while len(actions) < self._max_steps:
            chunk = self._scripted.infer({})["actions"]
            for action in chunk[: self._replan_steps]:
                actions.append(action)
                if environment.step(action, observation=False).done:
                    return np.array(actions)
        raise PolicyError(
            f"the scripted controller did not solve task {environment.task.name!r} from init state "
            f"{self._init_state} in {self._max_steps} steps: there is nothing to play"
        )
