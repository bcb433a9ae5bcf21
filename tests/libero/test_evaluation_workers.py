"""Worker processes that crash, are told to end, or lose the process that leads them."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, List

import pytest
from crashing_environment import broken_worker, crashing_worker
from evaluation_runs import SUITE, make_settings, outcome_of, records, run

from vlaserve_libero.evaluation import workers
from vlaserve_libero.evaluation.errors import EvaluationError
from vlaserve_libero.evaluation.protocol import protocol
from vlaserve_libero.evaluation.run import Interrupted, run_evaluation

EVAL = [
    sys.executable, "-m", "vlaserve_libero", "eval", "--environment", "fake", "--suite", SUITE,
    "--policy", "scripted", "--resolution", "32",
]  # fmt: skip


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true value of a condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"did not happen within {seconds:g} s")


def children(pid: int) -> List[int]:
    """Processes below another, the resource tracker of multiprocessing left out."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in found
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def lines(folder: Path) -> int:
    path = folder / "episodes.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("fixtures", ["openpi", "episode"])
def test_an_episode_whose_worker_dies_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fixtures: str
) -> None:
    monkeypatch.setattr(workers, "worker_main", crashing_worker)
    options = {"crash_at": 1, "crash_once": str(tmp_path / "crashed")}
    rules = protocol("openpi").changed(fixtures=fixtures)
    settings = make_settings(tmp_path / "run", trials=3, options=options, protocol=rules)
    said = run(settings)
    assert "episode 1: the worker process was ended by signal SIGKILL" in said
    assert [r.outcome for r in records(settings.results)] == ["success"] * 3
    run(make_settings(tmp_path / "calm", trials=3, options={"crash_at": 49}, protocol=rules))
    assert [outcome_of(r) for r in records(settings.results)] == [
        outcome_of(r) for r in records(tmp_path / "calm")
    ]


def test_an_episode_that_kills_every_worker_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "worker_main", crashing_worker)
    settings = make_settings(tmp_path, trials=3, options={"crash_at": 1}, protocol=protocol(
        "openpi").changed(fixtures="episode"))  # fmt: skip
    run(settings)
    found = records(tmp_path)
    assert [r.outcome for r in found] == ["success", "error", "success"]
    assert found[1].error == (
        "the worker process was ended by signal SIGKILL, perhaps for want of memory "
        "(see worker_0.log)"
    )
    assert (found[1].init_state, found[1].prompt) == (1, found[0].prompt)


def test_a_worker_that_cannot_start_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "worker_main", broken_worker)
    with pytest.raises(EvaluationError, match="ended with exit status 3 before its first episode"):
        run(make_settings(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_and_its_workers(tmp_path: Path, number: signal.Signals) -> None:
    settings = make_settings(
        tmp_path, workers=2, tasks=(0, 1), options={"resolution": 32, "delay_s": 0.01}, trials=9
    )

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            if "1/18" in text:
                os.kill(os.getpid(), number)
            return super().write(text)

    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=number.name):
        run_evaluation(settings, Stream())
    assert multiprocessing.active_children() == []
    assert signal.getsignal(number) is before
    assert 1 <= lines(tmp_path) < 18
    assert len(records(tmp_path)) == lines(tmp_path)


def test_ctrl_c_on_the_terminal_leaves_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    command = [*EVAL, "--tasks", "0,1", "--trials", "4", "--workers", "2", "--results",
               str(tmp_path)]  # fmt: skip
    slow = [*command, "--environment-option", "delay_s=0.01"]
    with subprocess.Popen(slow, stderr=subprocess.PIPE, start_new_session=True) as process:
        wait_for(lambda: lines(tmp_path))
        own = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"SIGINT: stopped; the same command resumes the run" in said
    assert b"Traceback" not in said
    assert own
    assert not any(Path(f"/proc/{pid}").exists() for pid in own)
    for log in (tmp_path / "logs").iterdir():
        assert "Traceback" not in log.read_text()
    again = subprocess.run(slow, capture_output=True, timeout=240)
    assert again.returncode == 0, again.stderr
    assert len(records(tmp_path)) == lines(tmp_path) == 8


def test_a_run_that_was_killed_is_resumed_and_leaves_no_worker(tmp_path: Path) -> None:
    command = [*EVAL, "--tasks", "0", "--trials", "4", "--results", str(tmp_path),
               "--environment-option", "delay_s=0.01"]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: lines(tmp_path))
        own = children(process.pid)
        process.kill()
    assert own
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in own), 10)
    done = lines(tmp_path)
    assert 1 <= done < 4
    again = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert again.returncode == 0, again.stderr
    assert f"{done} of 4 are done" in again.stderr
    assert [r.episode for r in records(tmp_path)] == [0, 1, 2, 3]
    assert lines(tmp_path) == 4


def test_more_workers_than_work_are_not_started(tmp_path: Path) -> None:
    said = run(make_settings(tmp_path, workers=3))
    assert "1 of 3 workers have work" in said
    assert [p.name for p in (tmp_path / "logs").iterdir()] == ["worker_0.log"]
