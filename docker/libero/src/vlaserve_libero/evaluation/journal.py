"""The journal of a run: `episodes.jsonl`, one finished episode per line.

Only the process that leads the run writes, one line after another, each on the disk before the
episode counts as finished. So a run that was killed at any instant has a journal of whole lines
and perhaps the beginning of one more.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Callable, List, Optional, Type

from vlaserve_libero.evaluation.errors import EvaluationError
from vlaserve_libero.records import EpisodeRecord
from vlaserve_libero.results.errors import ResultsError
from vlaserve_libero.results.files import EPISODES, read_records, sync_folder

_BLOCK = 65536  # bytes


def open_locked(path: Path) -> BinaryIO:
    """Opens a journal for reading and appending, and for this process alone.

    Raises:
        EvaluationError: Another process has it.
    """
    file = path.open("a+b")
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise EvaluationError(
            f"another run is writing to {path}; wait for it to end or choose other --results"
        ) from error
    return file


class Journal:
    """Appends to the journal of a results folder; locks it against a second run.

    An episode that ended in an error may be appended again; the later line then counts.

    Attributes:
        records: The episodes that the journal had when it was opened, one per key.
    """

    def __init__(self, folder: Path, notice: Callable[[str], None]) -> None:
        """Opens the journal, makes it if there is none.

        Args:
            folder: The results folder; must exist.
            notice: Told in words if the beginning of a line is cut off.

        Raises:
            EvaluationError: A line is damaged or an episode is there twice (names file and line);
                or another process writes to the journal.
        """
        path = folder / EPISODES
        self._file = open_locked(path)
        try:
            sync_folder(folder)
            self._cut_unfinished_line(path, notice)
            try:
                self.records: List[EpisodeRecord] = read_records(folder)
            except ResultsError as error:
                raise EvaluationError(
                    f"{error}. Repair or delete that line (its episode is then run again), or "
                    "begin anew with --restart"
                ) from error
        except BaseException:
            self._file.close()
            raise

    def _cut_unfinished_line(self, path: Path, notice: Callable[[str], None]) -> None:
        size = self._file.seek(0, os.SEEK_END)
        end = size  # of the last whole line
        while end > 0:
            begin = max(0, end - _BLOCK)
            self._file.seek(begin)
            newline = self._file.read(end - begin).rfind(b"\n")
            end = begin + newline + 1 if newline >= 0 else begin
            if newline >= 0:
                break
        if end < size:
            self._file.truncate(end)
            os.fsync(self._file.fileno())
            notice(
                f"{path}: cut off {size - end} bytes of an unfinished last line, left by a run "
                "that was killed while it wrote; that episode is run again"
            )

    def append(self, record: EpisodeRecord) -> None:
        """Adds a finished episode; it is on the disk when this returns.

        Raises:
            OSError: The disk is full or gone.
        """
        line = json.dumps(record.to_json(), allow_nan=False, separators=(",", ":"))
        self._file.write(line.encode("utf-8") + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file, which also unlocks it."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()
