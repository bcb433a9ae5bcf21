"""What a person sees of a run."""

from __future__ import annotations

import io
import os
import shutil
import time

import pytest
from made_up_records import make_record

from vlaserve_libero.evaluation.progress import Progress, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3900, "1 h 05 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_elsewhere_than_on_a_terminal_each_episode_is_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, stream = Clock(monkeypatch), io.StringIO()
    shown = Progress(stream, 12, finished=2, successes=1)
    clock.now = 10.0
    shown.episode(make_record("success", episode=2, steps=131, queries=27, episode_s=10.0))
    shown.draw()
    shown.episode(make_record("error", episode=3, interruptions=2))
    shown.close()
    assert stream.getvalue().splitlines() == [
        "[ 3/12] libero_object task 0 episode 2: success, 131 steps, 27 queries, 10.0 s | "
        "2 successes (67 %), 1 min 30 s left",
        "[ 4/12] libero_object task 0 episode 3: error, 3 steps, 1 queries, 4.0 s, "
        "2 queries repeated (the renderer gave up) | 2 successes (67 %), 1 errors, 40 s left",
    ]


def test_a_terminal_has_a_bar_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((60, 24)))
    clock, stream = Clock(monkeypatch), Terminal()
    shown = Progress(stream, 4, finished=0, successes=0)
    shown.draw()
    clock.now = 6.0
    shown.episode(make_record("success"))
    shown.draw()
    clock.now = 8.0
    shown.draw()  # time passes, though no episode ends
    shown.close()
    assert "\n" not in stream.getvalue()[:-1]
    last = stream.getvalue().split("\r")[-1]
    assert last == "[#####.................] 1/4 1 successes (100 %), 16 s left\n"
    assert max(len(part) for part in stream.getvalue().split("\r")) <= 60


def test_notices_and_errors_stay_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((80, 24)))
    stream = Terminal()
    shown = Progress(stream, 4, finished=0, successes=0)
    shown.draw()
    shown.notice("the server is waited for")
    shown.draw()
    shown.episode(make_record("error"))
    shown.close()
    shown_lines = [line.split("\r")[-1] for line in stream.getvalue().split("\n")]
    assert shown_lines[0] == "the server is waited for"
    assert shown_lines[1].endswith("(the renderer gave up)")
    assert shown_lines[2].endswith("1/4 0 successes, 1 errors, 0 s left")
