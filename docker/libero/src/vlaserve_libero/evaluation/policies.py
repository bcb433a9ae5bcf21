"""The policies of an evaluation, as the episode loop asks them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Union

import numpy as np

from vlaserve_libero.client import VlaservePolicy
from vlaserve_libero.environments.base import Environment
from vlaserve_libero.evaluation.episode import Answer
from vlaserve_libero.evaluation.errors import EvaluationError
from vlaserve_libero.evaluation.protocol import Rules
from vlaserve_libero.policies.base import EnvironmentPolicy
from vlaserve_libero.policies.open_loop import OpenLoopReplay
from vlaserve_libero.policies.scripted import ScriptedPolicy
from vlaserve_libero.server_info import ServerInfo

POLICIES = ("server", "scripted", "open_loop")


@dataclass(frozen=True)
class PolicySettings:
    """Whom to ask, and how.

    Attributes:
        name: One of POLICIES; what follows is for "server".
        server: HOST:PORT.
        deadline_s: Longest time for one answer, seconds.
        server_wait_s: For how long a server that is away is waited for, seconds.
        num_steps: Denoise steps; None: the server's default.
        image_encoding: "rgb8" or "png".
        expected: What the server served when the run began.
    """

    name: str
    server: str = ""
    deadline_s: float = 0.0
    server_wait_s: float = 0.0
    num_steps: Optional[int] = None
    image_encoding: str = "rgb8"
    expected: Optional[ServerInfo] = None


class ServerPolicy:
    """The policy of a running vlaserve."""

    def __init__(self, settings: PolicySettings, session_id: str) -> None:
        """Connects.

        Args:
            settings: With name "server".
            session_id: Names this client to the server.

        Raises:
            VlaserveError: The server is not ready in time, or is none.
            EvaluationError: It serves something else than when the run began.
        """
        self._client = open_client(settings, session_id)
        if settings.expected is not None:
            refuse_other_server(settings.expected, self._client.info, "when the run began")

    def begin_episode(self, environment: Environment) -> None:
        """See Asked."""
        self._client.reset()

    def ask(self, observation: Mapping[str, Any], *, seed: int, request_id: str) -> Answer:
        """See Asked."""
        start = time.perf_counter()
        result = self._client.infer(observation, seed=seed, request_id=request_id)
        return Answer(
            actions=np.asarray(result["actions"], dtype=np.float64),
            latency_ms=(time.perf_counter() - start) * 1000.0,
            server_ms=result["server_timing"]["total_ms"],
            interruptions=self._client.last_interruptions,
        )

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()


class BaselinePolicy:
    """A policy that runs here and reads the environment; it draws nothing, so it takes no seed."""

    def __init__(self, policy: EnvironmentPolicy) -> None:
        self._policy = policy

    def begin_episode(self, environment: Environment) -> None:
        """See Asked."""
        self._policy.reset()
        self._policy.begin_episode(environment)

    def ask(self, observation: Mapping[str, Any], *, seed: int, request_id: str) -> Answer:
        """See Asked."""
        start = time.perf_counter()
        result = self._policy.infer(observation)
        return Answer(
            actions=np.asarray(result["actions"], dtype=np.float64),
            latency_ms=(time.perf_counter() - start) * 1000.0,
        )

    def close(self) -> None:
        """Nothing to free."""


AnyPolicy = Union[ServerPolicy, BaselinePolicy]


def open_client(settings: PolicySettings, session_id: str) -> VlaservePolicy:
    """A client of the server that the settings name."""
    return VlaservePolicy(
        settings.server,
        None,
        deadline_s=settings.deadline_s,
        connect_timeout_s=settings.server_wait_s,
        # A simulation stands still while the server is away: its observation does not grow old.
        max_observation_age_s=settings.server_wait_s,
        session_id=session_id,
        image_encoding=settings.image_encoding,
        num_steps=settings.num_steps,
    )


def refuse_other_server(before: ServerInfo, now: ServerInfo, when: str) -> None:
    """Compares what a server serves.

    Raises:
        EvaluationError: It computes other actions than before; lists the differences.
    """
    differences = before.differences(now)
    if differences:
        raise EvaluationError(
            f"the server serves something else than {when}: {'; '.join(differences)}"
        )


def open_policy(
    settings: PolicySettings, *, session_id: str, rules: Rules, run_seed: int
) -> AnyPolicy:
    """The policy of one worker for the tasks of one suite.

    Args:
        settings: Which one.
        session_id: Names the worker to the server.
        rules: Of the suite.
        run_seed: Seed of the run, and so of the episode that "open_loop" plays.

    Raises:
        VlaserveError: The server is not ready in time, or is none.
        EvaluationError: It serves something else than when the run began.
    """
    if settings.name == "server":
        return ServerPolicy(settings, session_id)
    horizon = max(10, rules.replan_steps)
    if settings.name == "scripted":
        return BaselinePolicy(ScriptedPolicy(replan_steps=rules.replan_steps, horizon=horizon))
    return BaselinePolicy(
        OpenLoopReplay(
            replan_steps=rules.replan_steps,
            horizon=horizon,
            seed=run_seed,
            settle_steps=rules.settle_steps,
            max_steps=rules.max_steps,
        )
    )
