"""A whole evaluation: from settings to results."""

from __future__ import annotations

import importlib
import shutil
import signal
import uuid
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Dict, List, Optional, TextIO, Type

from vlaserve_libero.environments import registry
from vlaserve_libero.evaluation.errors import EvaluationError, UsageError
from vlaserve_libero.evaluation.journal import Journal, open_locked
from vlaserve_libero.evaluation.plan import Episode, Scheduler, plan_episodes
from vlaserve_libero.evaluation.policies import open_client
from vlaserve_libero.evaluation.progress import Progress
from vlaserve_libero.evaluation.run_file import describe_run, resume_run, write_run
from vlaserve_libero.evaluation.settings import RunSettings
from vlaserve_libero.evaluation.worker import SuiteSource, WorkerSettings
from vlaserve_libero.evaluation.workers import WorkerPool
from vlaserve_libero.records import EpisodeRecord
from vlaserve_libero.results.files import (
    CSV,
    EPISODES,
    PLOTS,
    RESULTS,
    RUN,
    VIDEOS,
    read_run,
    write_results,
)
from vlaserve_libero.server_info import ServerInfo

LOGS = "logs"


class Interrupted(Exception):
    """The run was told to end (Ctrl-C, SIGTERM); it can be resumed."""


class _Signals:
    """Notes SIGINT and SIGTERM instead of acting on them at once, wherever the program is."""

    def __init__(self) -> None:
        self._received: Optional[int] = None
        self._before: Dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: Optional[FrameType]) -> None:
        self._received = number

    def check(self) -> None:
        """Raises Interrupted if one of the signals has come."""
        if self._received is not None:
            raise Interrupted(signal.Signals(self._received).name)


def run_evaluation(settings: RunSettings, stderr: TextIO) -> Dict[str, Any]:
    """Runs what is not yet in the results folder's journal, then writes the results.

    Args:
        settings: See there.
        stderr: Takes progress and notices.

    Returns:
        The content of results.json.

    Raises:
        UsageError: A setting cannot be.
        EvaluationError, VlaserveError, SimulatorError, ResultsError: The run cannot begin or go on.
        Interrupted: It was told to end. In both cases the journal has all finished episodes, and
            the same settings resume the run.
    """

    def notice(text: str) -> None:
        print(text, file=stderr, flush=True)

    suites = _suites(settings)
    episodes = plan_episodes(
        [s.suite for s in suites.values()], settings.tasks, settings.trials,
        settings.first_init_state,
    )  # fmt: skip
    _check_extras(settings)
    folder = settings.results
    folder.mkdir(parents=True, exist_ok=True)
    if settings.restart:
        _set_aside(folder, notice)
    with Journal(folder, notice) as journal:
        done = {r.key for r in journal.records if r.outcome != "error"}
        left = [episode for episode in episodes if episode.key not in done]
        server = _ask_server(settings, suites, notice) if left else None
        run = describe_run(settings, episodes, server)
        if (folder / RUN).exists():
            run = resume_run(read_run(folder), run, server)
            notice(f"resuming {folder}: {len(episodes) - len(left)} of {len(episodes)} are done")
        elif journal.records:
            raise EvaluationError(
                f"{folder} has {EPISODES} but no {RUN}; choose other --results or --restart"
            )
        if left:
            write_run(folder, run)
            successes = sum(r.outcome == "success" for r in journal.records)
            progress = Progress(
                stderr, len(episodes), finished=len(episodes) - len(left), successes=successes
            )
            _run_episodes(settings, suites, server, left, journal, progress)
        return write_results(folder, plots=settings.plots)


def _suites(settings: RunSettings) -> Dict[str, SuiteSource]:
    found: Dict[str, SuiteSource] = {}
    for source in settings.suites:
        suite = registry.suite(settings.environment, source)
        if suite.name in found:
            raise UsageError(f"--suite: {suite.name} is there twice")
        found[suite.name] = SuiteSource(source, suite, settings.protocol.rules(suite.name))
    return found


def _check_extras(settings: RunSettings) -> None:
    """Fails now rather than after the first episode, or the last, if a package is missing.

    Raises:
        ResultsError: It is; says how to install it.
    """
    if settings.videos != "none":
        from vlaserve_libero.results.video import VideoWriter

        VideoWriter(settings.video_folder / "probe.mp4")
    if settings.plots:
        importlib.import_module("vlaserve_libero.results.plots")


def _set_aside(folder: Path, notice: Any) -> None:
    """Moves the files of an earlier run into a folder of their own."""
    names = (RUN, EPISODES, RESULTS, CSV, PLOTS, VIDEOS, LOGS)
    present = [folder / name for name in names if (folder / name).exists()]
    if not present:
        return
    with open_locked(folder / EPISODES):  # nobody may be writing
        aside = folder / f"before_{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}"
        aside.mkdir()
        for path in present:
            shutil.move(str(path), str(aside / path.name))
    notice(f"the earlier run was moved to {aside}")


def _ask_server(
    settings: RunSettings, suites: Dict[str, SuiteSource], notice: Any
) -> Optional[ServerInfo]:
    """What the server serves, checked against what the environments take; None: no server."""
    policy = settings.policy
    if policy.name != "server":
        return None
    notice(f"waiting for the server {policy.server} (up to {policy.server_wait_s:g} s)")
    with open_client(policy, "eval") as client:
        server = client.info
    for source in suites.values():
        if server.action_dim != source.suite.action_dim:
            raise EvaluationError(
                f"the policy {server.name} of {policy.server} has actions of {server.action_dim} "
                f"numbers, suite {source.suite.name} takes {source.suite.action_dim}: they do not "
                "belong together"
            )
    if server.horizon < settings.protocol.replan_steps:
        raise UsageError(
            f"--replan-steps {settings.protocol.replan_steps}: the policy {server.name} has chunks "
            f"of {server.horizon} actions; expected 1 to {server.horizon}"
        )
    return server


def _worker_options(settings: RunSettings) -> Dict[str, Any]:
    """The environment's options; cameras stay off where nobody looks."""
    options = dict(settings.options)
    blind = settings.policy.name != "server" and settings.videos == "none"
    if blind and "render" in registry.options(settings.environment):
        options.setdefault("render", "never")
    return options


def _run_episodes(
    settings: RunSettings,
    suites: Dict[str, SuiteSource],
    server: Optional[ServerInfo],
    episodes: List[Episode],
    journal: Journal,
    progress: Progress,
) -> None:
    scheduler = Scheduler(episodes, keep_order=settings.protocol.fixtures == "openpi")
    useful = scheduler.useful_workers
    if useful < min(settings.workers, len(episodes)):
        progress.notice(
            f"--fixtures openpi keeps a task's episodes in one worker: {useful} of "
            f"{settings.workers} workers have work; --fixtures episode splits tasks"
        )
    worker_settings = WorkerSettings(
        environment=settings.environment,
        options=_worker_options(settings),
        suites=suites,
        policy=replace(settings.policy, expected=server),
        seed=settings.seed,
        results=settings.results,
        videos=settings.videos,
        video_folder=settings.video_folder,
        video_fps=settings.video_fps,
    )

    def keep(record: EpisodeRecord) -> None:
        journal.append(record)
        progress.episode(record)

    def tick() -> None:
        signals.check()
        progress.draw()

    with _Signals() as signals:
        try:
            with WorkerPool(
                worker_settings, settings.workers, settings.results / LOGS, uuid.uuid4().hex[:8],
                on_record=keep, on_notice=progress.notice, on_tick=tick,
            ) as pool:  # fmt: skip
                pool.run(scheduler)
        finally:
            progress.close()
