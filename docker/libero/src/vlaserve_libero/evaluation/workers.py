"""Worker processes, seen from the process that leads the run.

Each worker has a pipe to this process and one episode at a time, so it is always known what a
worker that dies has left behind. Nothing is shared between workers: one that crashes or is killed
for want of memory cannot spoil the others.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, List, Optional, Type

from vlaserve_libero.evaluation.errors import EvaluationError
from vlaserve_libero.evaluation.plan import Episode, Scheduler
from vlaserve_libero.evaluation.worker import (
    Finished,
    Notice,
    Ready,
    Stopped,
    WorkerSettings,
    worker_main,
)
from vlaserve_libero.records import EpisodeKey, EpisodeRecord

_TICK_S = 0.25  # between two looks at signals and the progress bar
_END_S = 5.0  # how long a worker may take to leave when told to
_TRIES = 2  # of an episode whose worker dies


@dataclass
class _Worker:
    number: int
    process: BaseProcess
    connection: Connection
    ready: bool = False
    episode: Optional[Episode] = None
    since: str = ""  # when the episode was given out, ISO 8601
    started: float = 0.0  # likewise, monotonic seconds


class WorkerPool:
    """Runs the episodes of a scheduler in worker processes.

    Args:
        settings: Of every worker.
        count: How many.
        logs: Folder for what the workers print: `worker_0.log` and so on.
        run_id: Tells the workers of this run from others that ask the same server.
        on_record: Told each finished episode.
        on_notice: Told in words what else a person should know.
        on_tick: Called several times a second; may raise to end the run.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        count: int,
        logs: Path,
        run_id: str,
        *,
        on_record: Callable[[EpisodeRecord], None],
        on_notice: Callable[[str], None],
        on_tick: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._count = count
        self._logs = logs
        self._run_id = run_id
        self._on_record = on_record
        self._on_notice = on_notice
        self._on_tick = on_tick
        # Not "fork": gRPC and OpenGL do not survive it.
        self._context = multiprocessing.get_context("spawn")
        self._workers: Dict[int, _Worker] = {}
        self._deaths: Dict[EpisodeKey, int] = {}

    def run(self, scheduler: Scheduler) -> None:
        """Runs all episodes.

        Raises:
            EvaluationError: The run cannot go on; finished episodes have been told.
        """
        logs = self._logs
        logs.mkdir(exist_ok=True)
        for number in range(min(self._count, scheduler.useful_workers)):
            self._start(number)
        while self._workers:
            self._on_tick()
            handles: List[Any] = [w.connection for w in self._workers.values()]
            handles += [w.process.sentinel for w in self._workers.values()]
            happened = wait(handles, timeout=_TICK_S)
            for worker in list(self._workers.values()):
                if worker.connection in happened or worker.process.sentinel in happened:
                    self._attend(worker, scheduler)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        """Ends the workers that are left: kindly at first, then by force."""
        for worker in self._workers.values():
            worker.process.terminate()
        end = time.monotonic() + _END_S
        for worker in self._workers.values():
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        self._workers.clear()

    def _start(self, number: int) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=worker_main,
            args=(
                theirs,
                self._settings,
                f"{self._run_id}-{number}",
                self._log(number),
            ),
            name=f"worker {number}",
        )
        process.start()
        theirs.close()  # so that the pipe ends with the worker
        self._workers[number] = _Worker(number, process, ours)

    def _log(self, number: int) -> Path:
        return self._logs / f"worker_{number}.log"

    def _attend(self, worker: _Worker, scheduler: Scheduler) -> None:
        """Takes a worker's message, or notices that it is dead."""
        try:
            # A worker may have sent its last message and died: the message counts.
            message = worker.connection.recv() if worker.connection.poll() else None
        except (EOFError, OSError):
            message = None
        if message is None:
            self._bury(worker, scheduler)
        elif isinstance(message, Stopped):
            raise EvaluationError(message.message)
        elif isinstance(message, Notice):
            self._on_notice(f"{worker.episode}: {message.text}")
        else:
            if isinstance(message, Finished):
                worker.episode = None
                self._on_record(message.record)
            else:
                assert isinstance(message, Ready)
                worker.ready = True
            self._give(worker, scheduler.next(worker.number))

    def _give(self, worker: _Worker, episode: Optional[Episode]) -> None:
        worker.episode = episode
        worker.since = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        worker.started = time.monotonic()
        try:
            worker.connection.send(episode)
        except OSError:
            return  # it is dead, which the next look will notice
        if episode is None:
            self._dismiss(worker)

    def _dismiss(self, worker: _Worker) -> None:
        """Waits for a worker that has nothing left to do."""
        worker.process.join(_END_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.connection.close()
        del self._workers[worker.number]

    def _bury(self, worker: _Worker, scheduler: Scheduler) -> None:
        """A worker is dead: its episode is tried once more, then recorded as an error."""
        worker.process.join()
        worker.connection.close()
        del self._workers[worker.number]
        death = f"the worker process {_ending(worker.process.exitcode)}"
        log = self._log(worker.number)
        episode = worker.episode
        if not worker.ready:
            raise EvaluationError(f"{death} before its first episode; see {log}")
        if episode is None:
            scheduler.forget(worker.number)
        else:
            tries = self._deaths[episode.key] = self._deaths.get(episode.key, 0) + 1
            if tries < _TRIES:
                self._on_notice(f"{episode}: {death}; it is tried once more (see {log})")
                scheduler.put_back(worker.number, episode)
            else:
                scheduler.forget(worker.number)
                self._on_record(self._lost(worker, episode, f"{death} (see {log.name})"))
        if scheduler.useful_workers:
            self._start(worker.number)

    def _lost(self, worker: _Worker, episode: Episode, error: str) -> EpisodeRecord:
        """The record of an episode that ends every worker."""
        task = self._settings.suites[episode.suite].suite.tasks[episode.task_id]
        return EpisodeRecord(
            suite=episode.suite,
            task_id=episode.task_id,
            task=task.name,
            prompt=task.prompt,
            episode=episode.episode,
            init_state=episode.init_state,
            seed=self._settings.seed,
            outcome="error",
            steps=0,
            queries=0,
            error=error,
            episode_s=round(time.monotonic() - worker.started, 4),
            started_at=worker.since,
        )


def _ending(exit_code: Optional[int]) -> str:
    """How a process ended, in words."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
        return f"was ended by signal {name}{hint}"
    return f"ended with exit status {exit_code}"
