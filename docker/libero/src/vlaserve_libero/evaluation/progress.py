"""Tells a person how far the run is: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

from vlaserve_libero.records import EpisodeRecord


def duration(seconds: float) -> str:
    """Seconds in words, two units at most: "1 h 05 min", "3 min 20 s", "12 s"."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole} s"


class Progress:
    """Counts finished episodes and shows the count.

    Args:
        stream: Where to; a terminal gets a bar that is redrawn in place.
        total: Episodes of the whole run.
        finished: Of these, done before (a resumed run).
        successes: Of these, successful.
    """

    def __init__(self, stream: TextIO, total: int, *, finished: int, successes: int) -> None:
        self._stream = stream
        self._total = total
        self._finished = finished
        self._successes = successes
        self._errors = 0
        self._before = finished  # what took no time now
        self._start = self._latest = time.monotonic()
        self._bar = stream.isatty()
        self._drawn = ""

    def episode(self, record: EpisodeRecord) -> None:
        """An episode has ended."""
        self._finished += 1
        self._latest = time.monotonic()
        self._successes += record.outcome == "success"
        self._errors += record.outcome == "error"
        width = len(str(self._total))
        text = (
            f"[{self._finished:{width}}/{self._total}] {record.suite} task {record.task_id} "
            f"episode {record.episode}: {record.outcome}, {record.steps} steps, "
            f"{record.queries} queries, {record.episode_s:.1f} s"
        )
        if record.interruptions:
            text += f", {record.interruptions} queries repeated"
        if record.outcome == "error":
            text += f" ({record.error})"
        if self._bar:
            if record.outcome == "error":
                self.notice(text)
            self.draw()
        else:
            self._write(f"{text} | {self._counts()}\n")

    def notice(self, text: str) -> None:
        """Says something that stays on the screen."""
        self._erase()
        self._write(text + "\n")

    def draw(self) -> None:
        """Redraws the bar; nothing where there is none."""
        if not self._bar:
            return
        columns = shutil.get_terminal_size().columns
        counts = f" {self._finished}/{self._total} {self._counts()}"
        room = max(0, min(30, columns - len(counts) - 3))
        full = room * self._finished // self._total if self._total else room
        line = (f"[{'#' * full}{'.' * (room - full)}]" if room else "") + counts
        line = line[: columns - 1]
        if line != self._drawn:
            self._erase()
            self._write(line)
            self._drawn = line

    def close(self) -> None:
        """Leaves the last state of the bar on a line of its own."""
        if self._drawn:
            self._write("\n")
            self._drawn = ""

    def _counts(self) -> str:
        judged = self._finished - self._errors
        rate = f" ({100.0 * self._successes / judged:.0f} %)" if judged else ""
        text = f"{self._successes} successes{rate}"
        if self._errors:
            text += f", {self._errors} errors"
        done_now = self._finished - self._before
        left = self._total - self._finished
        if done_now and left:
            rest = (self._latest - self._start) / done_now * left
            text += f", {duration(max(0.0, rest - (time.monotonic() - self._latest)))} left"
        return text

    def _erase(self) -> None:
        if self._drawn:
            self._write("\r" + " " * len(self._drawn) + "\r")
            self._drawn = ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
