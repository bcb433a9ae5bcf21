"""One episode: reset, settle, then ask the policy and execute what it says."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any, Callable, List, Mapping, Optional, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from vlaserve_libero.environments.base import Environment, SimulatorError, Step
from vlaserve_libero.evaluation.plan import Episode
from vlaserve_libero.evaluation.protocol import Rules
from vlaserve_libero.evaluation.seeds import query_seed
from vlaserve_libero.policies.base import PolicyError
from vlaserve_libero.records import EpisodeRecord

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What a policy said to one observation."""

    actions: npt.NDArray[np.float64]  # [horizon, action_dim]
    latency_ms: float  # as the client sees it
    server_ms: Optional[float] = None  # of that, inside the server; None: there is no server
    interruptions: int = 0  # times the query was repeated since the server had gone away


class Asked(Protocol):
    """A policy as the episode loop uses it."""

    def begin_episode(self, environment: Environment) -> None:
        """Forgets the episode before. Called ahead of the environment's reset."""
        ...

    def ask(self, observation: Mapping[str, Any], *, seed: int, request_id: str) -> Answer:
        """Computes a chunk; `seed` is of the policy's noise, if it has any."""
        ...


class Frames(Protocol):
    """Takes the frames of a video."""

    def add(self, frame: npt.NDArray[np.uint8]) -> None:
        """Appends a frame, uint8 [height, width, 3]."""
        ...


class EnvironmentFailure(Exception):
    """The environment raised; the episode is neither a success nor a failure."""


@dataclass
class _Tally:
    """What happens in an episode, while it happens."""

    steps: int = 0
    interruptions: int = 0
    latency_ms: List[float] = field(default_factory=list)
    server_ms: List[float] = field(default_factory=list)
    actions: List[List[float]] = field(default_factory=list)
    first_chunk: List[List[float]] = field(default_factory=list)
    reset_s: float = 0.0


def simulated(call: Callable[[], T]) -> T:
    """Runs a call of the environment.

    Raises:
        EnvironmentFailure: The call raised anything at all. Simulators raise whatever their
            libraries do (MuJoCo, OpenGL, the task's own code).
    """
    try:
        return call()
    except PolicyError:
        raise
    except Exception as error:
        text = str(error) or "no message"
        known = isinstance(error, SimulatorError)
        raise EnvironmentFailure(text if known else f"{type(error).__name__}: {text}") from error


def run_episode(
    environment: Environment,
    policy: Asked,
    episode: Episode,
    *,
    reset: Callable[[bool], Step],
    rules: Rules,
    action_dim: int,
    run_seed: int,
    frames: Optional[Frames] = None,
    frame_stride: int = 1,
) -> EpisodeRecord:
    """Runs one episode to its end.

    Cameras are rendered for the observations that the policy is asked about and for the frames of
    a video, and for nothing else.

    Args:
        environment: Of the episode's task.
        policy: Whom to ask.
        episode: Which one.
        reset: Puts the environment at the episode's beginning; its argument says whether the step
            needs its frame.
        rules: The protocol's figures.
        action_dim: Of the suite.
        run_seed: Seeds of the queries are derived from it.
        frames: Takes the video. None: no video.
        frame_stride: Every how many steps a frame is taken; counted from the first observation.

    Returns:
        The record. An error of the environment is an outcome ("error"), see EpisodeRecord; the
        environment is not to be used after it.

    Raises:
        PolicyError: The policy's answer cannot be executed.
        VlaserveError: The server did not answer.
    """
    tally = _Tally()
    started_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    start = time.perf_counter()
    error = None
    try:
        simulated(lambda: policy.begin_episode(environment))
        before = time.perf_counter()
        step = simulated(lambda: reset(frames is not None))
        tally.reset_s = time.perf_counter() - before
        _add_frame(frames, step)
        done = _play(
            environment, policy, episode, step, tally, rules, action_dim, run_seed, frames,
            frame_stride,
        )  # fmt: skip
        outcome = "success" if done else "failure"
    except EnvironmentFailure as failure:
        outcome, error = "error", str(failure)
    return EpisodeRecord(
        suite=episode.suite,
        task_id=episode.task_id,
        task=environment.task.name,
        prompt=environment.task.prompt,
        episode=episode.episode,
        init_state=episode.init_state,
        seed=run_seed,
        outcome=outcome,
        steps=tally.steps,
        queries=len(tally.latency_ms),
        error=error,
        interruptions=tally.interruptions,
        reset_s=round(tally.reset_s, 4),
        episode_s=round(time.perf_counter() - start, 4),
        started_at=started_at,
        latency_ms=tally.latency_ms,
        server_ms=tally.server_ms,
        actions=tally.actions,
        first_chunk=tally.first_chunk,
    )


def _play(
    environment: Environment,
    policy: Asked,
    episode: Episode,
    step: Step,
    tally: _Tally,
    rules: Rules,
    action_dim: int,
    run_seed: int,
    frames: Optional[Frames],
    frame_stride: int,
) -> bool:
    """From the settled scene to success (True) or the cap of steps (False)."""
    # Success while the scene settles does not count, as in openpi.
    plan: List[npt.NDArray[np.float64]] = []
    while tally.steps < rules.max_steps:
        if not plan:
            plan = _ask(policy, episode, step, tally, rules, action_dim, run_seed)
        action = plan.pop(0)
        last = tally.steps + 1 == rules.max_steps
        asked_next = not plan and not last
        wants_frame = frames is not None and (tally.steps + 1) % frame_stride == 0
        step = simulated(
            partial(environment.step, action, observation=asked_next, frame=wants_frame)
        )
        tally.steps += 1
        tally.actions.append(action.tolist())
        _add_frame(frames, step)
        if step.done:
            return True
    return False


def _ask(
    policy: Asked,
    episode: Episode,
    step: Step,
    tally: _Tally,
    rules: Rules,
    action_dim: int,
    run_seed: int,
) -> List[npt.NDArray[np.float64]]:
    """Asks the policy; returns the actions to execute."""
    if step.observation is None:
        raise EnvironmentFailure("the environment gave no observation where one was asked for")
    query = len(tally.latency_ms)
    answer = policy.ask(
        step.observation,
        seed=query_seed(run_seed, episode.suite, episode.task_id, episode.episode, query),
        request_id=f"{plain(episode.suite)}/{episode.task_id}/{episode.episode}/{query}",
    )
    check_chunk(answer.actions, action_dim, rules.replan_steps)
    tally.latency_ms.append(round(answer.latency_ms, 3))
    if answer.server_ms is not None:
        tally.server_ms.append(round(answer.server_ms, 3))
    tally.interruptions += answer.interruptions
    if query == 0:
        tally.first_chunk = answer.actions.tolist()
    return list(answer.actions[: rules.replan_steps])


def plain(suite: str) -> str:
    """A suite's name as part of an id; a recording's may be long and have any characters."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", suite)[:64]


def check_chunk(actions: npt.NDArray[np.float64], action_dim: int, replan_steps: int) -> None:
    """Checks that a chunk can be executed.

    Args:
        actions: What the policy answered, [horizon, action_dim].
        action_dim: What the environment takes.
        replan_steps: Rows that will be executed.

    Raises:
        PolicyError: It has the wrong shape, too few rows, or numbers that are not finite.
    """
    if actions.ndim != 2 or actions.shape[1] != action_dim:
        raise PolicyError(
            f"the policy answered actions of shape {list(actions.shape)}; the environment takes "
            f"[horizon, {action_dim}]"
        )
    if actions.shape[0] < replan_steps:
        raise PolicyError(
            f"the policy's chunks have {actions.shape[0]} actions, but {replan_steps} are to be "
            f"executed before the next query; use --replan-steps {actions.shape[0]} or less"
        )
    if not np.isfinite(actions).all():
        raise PolicyError("the policy answered actions that are not finite numbers")


def _add_frame(frames: Optional[Frames], step: Step) -> None:
    if frames is not None and step.frame is not None:
        frames.add(step.frame)
