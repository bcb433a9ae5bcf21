"""A real vlaserve process on this machine, bounded in time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Dict, List, Optional, Sequence, Type

REPOSITORY = Path(__file__).resolve().parents[2]

_START_S = 60.0
_STOP_S = 30.0


def find_binary() -> Optional[Path]:
    """The program, or None: $VLASERVE_BINARY, else the checkout's release build."""
    named = os.environ.get("VLASERVE_BINARY")
    path = Path(named) if named else REPOSITORY / "build" / "release" / "vlaserve"
    return path if path.is_file() else None


def _environment() -> Dict[str, str]:
    # A setting of the caller's shell must not change what a test serves.
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VLASERVE_", "OPENPI_"))
    }
    return {**own, "OMP_WAIT_POLICY": "passive"}


def export_archive(binary: Path, checkpoint: Path, archive: Path) -> Path:
    subprocess.run(
        [str(binary), "export", "--checkpoint", str(checkpoint), "--out", str(archive)],
        check=True,
        capture_output=True,
        timeout=_START_S,
        env=_environment(),
    )
    return archive


class ServerProcess:
    """`vlaserve serve` on 127.0.0.1.

    `settings` are KEY=VALUE for --set; port 0 lets the system choose. Unless `wait` is false it
    serves when the constructor returns.
    """

    def __init__(
        self,
        binary: Path,
        archive: Path,
        log: Path,
        *,
        settings: Sequence[str] = (),
        port: int = 0,
        wait: bool = True,
    ) -> None:
        self._binary = binary
        self._archive = archive
        self._log = log
        self._settings = list(settings)
        self.port = port
        self._process = self._start()
        self.port = int(self._wait_for_log(r"address: \S+ \(port (\d+)\)"))
        if wait:
            self._wait_for_log(r"state=(serving)")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> int:
        """SIGTERM: drains. Returns the exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait(_STOP_S)

    def kill(self) -> None:
        """SIGKILL: connections break."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(_STOP_S)

    def freeze(self) -> None:
        """The process lives and answers nobody."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def restart(
        self,
        *,
        archive: Optional[Path] = None,
        settings: Optional[Sequence[str]] = None,
        wait: bool = True,
    ) -> None:
        """Starts again on the same port, after `stop` or `kill`."""
        self._archive = archive or self._archive
        self._settings = list(settings) if settings is not None else self._settings
        self._process = self._start()
        if wait:
            self._wait_for_log(r"state=(serving)")

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        command: List[str] = [str(self._binary), "serve"]
        settings = [
            f"policy.archive={self._archive}",
            f"server.address=127.0.0.1:{self.port}",
            *self._settings,
        ]
        for setting in settings:
            command += ["--set", setting]
        # Truncated: what is waited for is what this process says.
        with self._log.open("wb") as log:
            return subprocess.Popen(command, stderr=log, env=_environment())

    def _wait_for_log(self, pattern: str) -> str:
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            found = re.search(pattern, self.log())
            if found:
                return found.group(1)
            if self._process.poll() is not None:
                raise RuntimeError(f"vlaserve stopped:\n{self.log()}")
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"no {pattern} within {_START_S:g} s:\n{self.log()}")
