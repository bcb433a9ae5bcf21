"""What an evaluation asks of a policy: openpi's `BasePolicy`."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Protocol, runtime_checkable

from vlaserve_libero.environments.base import Environment

# The keys of an observation, as openpi's LIBERO client sends them.
IMAGE = "observation/image"  # uint8 [height, width, 3], third-person camera, rotated by 180 degrees
WRIST_IMAGE = "observation/wrist_image"  # likewise, wrist camera
STATE = "observation/state"  # float64 [8]: end effector xyz (m), axis-angle (rad), two fingers (m)
PROMPT = "prompt"  # the task in words


class Policy(Protocol):
    """Maps an observation to a chunk of actions. One caller at a time."""

    def infer(self, obs: Mapping[str, Any]) -> Dict[str, Any]:
        """Computes a chunk.

        Args:
            obs: The observation, see the keys above.

        Returns:
            At least "actions": float [horizon, action_dim]. A remote policy adds "policy_timing"
            and "server_timing", milliseconds by name.
        """
        ...

    def reset(self) -> None:
        """Forgets the episode so far: the next observation is the first of a new one."""
        ...


class PolicyError(Exception):
    """The policy cannot act in this environment, however often it is tried; the message says why.

    A mistake of the settings, not an episode's outcome: it ends an evaluation.
    """


@runtime_checkable
class EnvironmentPolicy(Policy, Protocol):
    """A policy that looks into the environment itself: a baseline.

    For every episode the caller makes these calls in this order:
    `policy.reset()`, `policy.begin_episode(environment)`, `environment.reset(...)`, then `infer`.
    """

    def begin_episode(self, environment: Environment) -> None:
        """Tells the policy where its next episode takes place.

        Called before `environment.reset`, since a policy may play an episode of its own first.

        Raises:
            PolicyError: It cannot act there.
            SimulatorError: The environment failed in the policy's own episode.
        """
        ...
