"""A worker process: makes environments, runs the episodes it is given, reports each.

A process of its own for each environment, since simulators keep state in globals (OpenGL contexts,
numpy's generator) and may crash; see workers.py for the other end.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Dict, Mapping, NoReturn, Optional, Set

from vlaserve_libero.environments import registry
from vlaserve_libero.environments.base import Environment, SimulatorError, Step, Suite
from vlaserve_libero.errors import VlaserveError
from vlaserve_libero.evaluation.episode import EnvironmentFailure, plain, run_episode, simulated
from vlaserve_libero.evaluation.errors import EvaluationError
from vlaserve_libero.evaluation.plan import Episode, TaskKey
from vlaserve_libero.evaluation.policies import AnyPolicy, PolicySettings, open_policy
from vlaserve_libero.evaluation.protocol import Rules
from vlaserve_libero.evaluation.seeds import fixture_seed
from vlaserve_libero.policies.base import PolicyError
from vlaserve_libero.records import EpisodeRecord
from vlaserve_libero.results.errors import ResultsError

CONTROL_HZ = 20  # of LIBERO and robosuite: control steps per second of simulated time
VIDEOS = ("none", "failures", "all")


@dataclass(frozen=True)
class SuiteSource:
    """A suite and what the registry knows it by (for recordings a folder)."""

    source: str
    suite: Suite
    rules: Rules


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker needs to know.

    Attributes:
        environment: Its name in the registry.
        options: Of the environment.
        suites: By name.
        policy: Whom to ask.
        seed: Of the run.
        results: The results folder.
        videos: One of VIDEOS.
        video_folder: Where videos go.
        video_fps: Frames per second of simulated time, a divisor of CONTROL_HZ.
    """

    environment: str
    options: Mapping[str, Any]
    suites: Mapping[str, SuiteSource]
    policy: PolicySettings
    seed: int
    results: Path
    videos: str = "none"
    video_folder: Path = field(default_factory=Path)
    video_fps: int = 10


@dataclass(frozen=True)
class Ready:
    """The worker has started and waits for an episode."""


@dataclass(frozen=True)
class Finished:
    """The episode that was given last has ended."""

    record: EpisodeRecord


@dataclass(frozen=True)
class Notice:
    """Something that a person at the terminal should know."""

    text: str


@dataclass(frozen=True)
class Stopped:
    """The run cannot go on; the message says why."""

    message: str


class _Discarded(Exception):
    """Leaves a video's block so that the video is removed."""


class EpisodeRunner:
    """Runs episodes one after another and keeps what they share: environment and policy."""

    def __init__(self, settings: WorkerSettings, name: str) -> None:
        """Args: settings: See there. name: Of this worker among all that ask the server."""
        self._settings = settings
        self._name = name
        self._policies: Dict[str, AnyPolicy] = {}
        self._environment: Optional[Environment] = None
        self._environment_of: Optional[TaskKey] = None
        self._resets = 0  # of the environment, where fixtures go on from reset to reset
        self._rehearsed: Set[TaskKey] = set()

    def run(self, episode: Episode) -> EpisodeRecord:
        """Runs an episode.

        Raises:
            EvaluationError, VlaserveError, PolicyError, ResultsError: The run cannot go on.
        """
        source = self._settings.suites[episode.suite]
        policy = self._policy(episode.suite, source.rules)
        if self._settings.policy.name == "open_loop" and episode.task not in self._rehearsed:
            self._rehearse(episode, source, policy)
        environment = self._prepare(episode, source)
        if self._settings.videos == "none":
            record = self._run(environment, policy, episode, source, None)
        else:
            record = self._run_with_video(environment, policy, episode, source)
        if record.outcome == "error":
            self._drop_environment()
        return record

    def close(self) -> None:
        """Frees the environment and ends the connection to the server."""
        self._drop_environment()
        for policy in self._policies.values():
            policy.close()
        self._policies.clear()

    def _policy(self, suite: str, rules: Rules) -> AnyPolicy:
        key = "" if self._settings.policy.name == "server" else suite
        if key not in self._policies:
            self._policies[key] = open_policy(
                self._settings.policy, session_id=self._name, rules=rules,
                run_seed=self._settings.seed,
            )  # fmt: skip
        return self._policies[key]

    def _prepare(self, episode: Episode, source: SuiteSource) -> Environment:
        """An environment of the episode's task, with no more resets behind it than are due."""
        overtaken = source.rules.fixtures == "openpi" and self._resets > episode.episode
        if self._environment is None or self._environment_of != episode.task or overtaken:
            self._drop_environment()
            self._environment = self._make(episode, source, self._settings.options)
            self._environment_of = episode.task
        return self._environment

    def _rehearse(self, episode: Episode, source: SuiteSource, policy: AnyPolicy) -> None:
        """Lets a policy that plays an episode of its own do so, away from the evaluated scene.

        In an environment of its own, since objects are not to be shifted there, and since the
        poses of fixtures are drawn on from reset to reset.
        """
        self._drop_environment()
        options = {k: v for k, v in self._settings.options.items() if k != "shifts"}
        environment = self._make(episode, source, options)
        try:
            simulated(partial(policy.begin_episode, environment))
            simulated(environment.close)
        except EnvironmentFailure as failure:
            raise EvaluationError(
                f"cannot record what is to be played in {episode.suite} task {episode.task_id}: "
                f"{failure}"
            ) from failure
        self._rehearsed.add(episode.task)

    def _make(
        self, episode: Episode, source: SuiteSource, options: Mapping[str, Any]
    ) -> Environment:
        name = self._settings.environment
        try:
            return simulated(
                partial(registry.make, name, source.source, episode.task_id, **options)
            )
        except EnvironmentFailure as failure:
            raise EvaluationError(
                f"cannot make the environment of {episode.suite} task {episode.task_id}: {failure}"
            ) from failure

    def _drop_environment(self) -> None:
        environment, self._environment = self._environment, None
        self._environment_of = None
        self._resets = 0
        if environment is not None:
            try:
                simulated(environment.close)
            except EnvironmentFailure as failure:
                # It is given up anyway; its memory goes with the process at the latest.
                print(f"closing an environment: {failure}", file=sys.stderr)

    def _run(
        self,
        environment: Environment,
        policy: AnyPolicy,
        episode: Episode,
        source: SuiteSource,
        frames: Any,
    ) -> EpisodeRecord:
        return run_episode(
            environment,
            policy,
            episode,
            reset=lambda frame: self._reset(environment, episode, source.rules, frame),
            rules=source.rules,
            action_dim=source.suite.action_dim,
            run_seed=self._settings.seed,
            frames=frames,
            frame_stride=CONTROL_HZ // self._settings.video_fps,
        )

    def _reset(self, environment: Environment, episode: Episode, rules: Rules, frame: bool) -> Step:
        """The beginning of an episode, with the fixtures where the protocol wants them."""
        seed: Optional[int]
        if rules.fixtures == "episode":
            seed = fixture_seed(
                self._settings.seed, episode.suite, episode.task_id, episode.episode
            )
        else:
            # openpi seeds when it makes the environment, and each reset draws on. Episodes that
            # an earlier process has run drew as well: their resets are repeated.
            while self._resets < episode.episode:
                first = self._settings.seed if self._resets == 0 else None
                skipped = episode.init_state - episode.episode + self._resets
                environment.reset(skipped, seed=first, settle_steps=0)
                self._resets += 1
            seed = self._settings.seed if self._resets == 0 else None
            self._resets += 1
        return environment.reset(
            episode.init_state, seed=seed, settle_steps=rules.settle_steps, frame=frame
        )

    def _run_with_video(
        self, environment: Environment, policy: AnyPolicy, episode: Episode, source: SuiteSource
    ) -> EpisodeRecord:
        # Imported only for videos, which are an extra.
        from vlaserve_libero.results.video import VideoWriter, video_name

        settings = self._settings
        settings.video_folder.mkdir(parents=True, exist_ok=True)
        # The same at every try of the episode: what a killed process has left is overwritten.
        unnamed = f"{plain(episode.suite)}-{episode.task_id}-{episode.episode}.mp4"
        try:
            with VideoWriter(settings.video_folder / unnamed, fps=settings.video_fps) as video:
                record = self._run(environment, policy, episode, source, video)
                if settings.videos == "failures" and record.outcome == "success":
                    raise _Discarded
                if video.frames:
                    video.rename(video_name(record))
        except _Discarded:
            return record
        if not video.frames:
            return record
        return replace(record, video=os.path.relpath(video.path, settings.results))


def worker_main(connection: Connection, settings: WorkerSettings, name: str, log: Path) -> NoReturn:
    """The process: receives episodes, sends what became of them, ends when told (None).

    Args:
        connection: To the process that leads the run.
        settings: See there.
        name: Of the worker.
        log: Takes all output; simulators and drivers write what they like to both streams.
    """
    _log_to(log)
    # Ctrl-C reaches every process of the terminal; the leading one ends the others by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("vlaserve_libero").addHandler(_Notices(connection))
    status = 1
    try:
        runner = EpisodeRunner(settings, name)
        _serve(connection, runner)
        runner.close()
        status = 0
    except SystemExit:
        pass  # told to leave; the blocks that were open have cleaned up
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not the interpreter's own way out: OpenGL contexts would be freed in an order that prints
    # tracebacks, or crashes.
    os._exit(status)


def _serve(connection: Connection, runner: EpisodeRunner) -> None:
    connection.send(Ready())
    while True:
        episode = connection.recv()
        if episode is None:
            return
        try:
            record = runner.run(episode)
        except (EvaluationError, VlaserveError, PolicyError, SimulatorError, ResultsError) as error:
            connection.send(Stopped(f"{episode}: {error}"))
            return
        except Exception:
            connection.send(Stopped(f"{episode}: unexpected error\n{traceback.format_exc()}"))
            return
        connection.send(Finished(record))


class _Notices(logging.Handler):
    """Passes on the package's warnings, for instance that the server is waited for."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(logging.WARNING)
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self._connection.send(Notice(record.getMessage()))


def _log_to(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def _leave(signum: int, frame: Any) -> NoReturn:
    sys.exit(128 + signum)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
