"""The fake environment whose process crashes, to be put in its place in a worker."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Optional

from vlaserve_libero.environments import fake, registry
from vlaserve_libero.environments.base import Step
from vlaserve_libero.environments.fake import FakeEnvironment
from vlaserve_libero.evaluation.worker import WorkerSettings, worker_main

suite = fake.suite


class CrashingEnvironment(FakeEnvironment):
    """Crashes in the reset to one init state.

    Args:
        suite_name: As FakeEnvironment.
        task_id: As FakeEnvironment.
        crash_at: The init state.
        crash_once: A file that is made at the first crash and keeps further ones from happening.
    """

    def __init__(
        self, suite_name: str, task_id: int, *, crash_at: int, crash_once: Optional[str] = None
    ) -> None:
        super().__init__(suite_name, task_id, resolution=32)
        self._crash_at = crash_at
        self._marker = None if crash_once is None else Path(crash_once)

    def reset(
        self,
        init_state: int,
        *,
        seed: Optional[int] = None,
        settle_steps: int = 10,
        frame: bool = False,
    ) -> Step:
        if init_state == self._crash_at and not (self._marker and self._marker.exists()):
            if self._marker:
                self._marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().reset(init_state, seed=seed, settle_steps=settle_steps, frame=frame)


ENVIRONMENT = CrashingEnvironment


def crashing_worker(connection: Connection, settings: WorkerSettings, name: str, log: Path) -> None:
    """A worker in which "fake" is the environment above."""
    registry._MODULES["fake"] = __name__
    worker_main(connection, settings, name, log)


def broken_worker(connection: Connection, settings: WorkerSettings, name: str, log: Path) -> None:
    """A worker that does not get as far as its first episode."""
    os._exit(3)
