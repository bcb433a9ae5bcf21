"""The one interface between an evaluation and its simulators."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence

import numpy as np
import numpy.typing as npt


class SimulatorError(Exception):
    """The simulator cannot do what was asked; the message says what to change."""


@dataclass(frozen=True)
class Task:
    """One task of a suite."""

    task_id: int
    name: str  # "pick_up_the_milk_and_place_it_in_the_basket"
    prompt: str  # "pick up the milk and place it in the basket"


@dataclass(frozen=True)
class Suite:
    """The tasks that belong together, and how many episodes of each have an init state."""

    name: str  # "libero_object"
    tasks: Sequence[Task]
    init_states: int  # per task
    action_dim: int


@dataclass(frozen=True)
class Step:
    """What a control step led to."""

    observation: Optional[Mapping[str, Any]]  # None unless it was asked for; keys: policies/base.py
    done: bool  # the task's success test
    frame: Optional[npt.NDArray[np.uint8]] = None  # [height, width, 3] for a video, if asked for


class Environment(abc.ABC):
    """One task in one simulator, in one process. Not thread-safe.

    Cameras are the costly part, so each call says whether its observation (for a query of the
    policy) or its frame (for a video) will be looked at; both have the same pixels as if every
    step had been rendered.
    """

    task: Task

    @abc.abstractmethod
    def reset(
        self,
        init_state: int,
        *,
        seed: Optional[int] = None,
        settle_steps: int = 10,
        frame: bool = False,
    ) -> Step:
        """Rebuilds the scene, sets the stored init state and lets it settle.

        Args:
            init_state: Index into the task's stored init states.
            seed: Seeds what the init state does not fix (poses of fixtures). None: the generator
                goes on from the episode before, as in openpi.
            settle_steps: Steps with an open gripper and no motion before the policy's first.
            frame: Whether the result needs its frame.

        Returns:
            The settled scene, always with its observation.
        """

    @abc.abstractmethod
    def step(
        self, action: npt.NDArray[np.float64], *, observation: bool, frame: bool = False
    ) -> Step:
        """Executes one action (float64 [action_dim], finite).

        Raises:
            SimulatorError: The action has the wrong size or is not finite.
        """

    @abc.abstractmethod
    def privileged(self) -> Dict[str, npt.NDArray[np.float64]]:
        """True positions for scripted policies: "eef_pos", "object_pos", "target_pos" [3], metres.

        Empty where the environment has none.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Frees the simulator. Later calls are errors."""
