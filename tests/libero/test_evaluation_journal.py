"""The journal: nothing that was finished is lost, nothing counts twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
from made_up_records import make_record

from vlaserve_libero.evaluation.errors import EvaluationError
from vlaserve_libero.evaluation.journal import Journal


def write(folder: Path, *outcomes: str) -> bytes:
    """A journal with one episode per outcome."""
    with Journal(folder, print) as journal:
        for episode, outcome in enumerate(outcomes):
            journal.append(make_record(outcome, episode=episode))
    return (folder / "episodes.jsonl").read_bytes()


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, "success", "failure")
    notices: List[str] = []
    with Journal(tmp_path, notices.append) as journal:
        assert journal.records == [
            make_record("success", episode=0),
            make_record("failure", episode=1),
        ]
        journal.append(make_record("success", episode=2))
    with Journal(tmp_path, notices.append) as journal:
        assert [r.episode for r in journal.records] == [0, 1, 2]
    assert notices == []


def test_an_episode_is_on_the_disk_when_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: List[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        real(descriptor)

    with Journal(tmp_path, print) as journal:
        monkeypatch.setattr(os, "fsync", fsync)
        journal.append(make_record())
        assert synced == [(tmp_path / "episodes.jsonl").stat().st_size]
        assert synced[0] > 0


def test_a_write_that_was_cut_off_anywhere_costs_only_its_episode(tmp_path: Path) -> None:
    whole = write(tmp_path, "success", "success")
    path = tmp_path / "episodes.jsonl"
    first = whole.index(b"\n") + 1
    for size in range(first, len(whole)):
        path.write_bytes(whole[:size])
        notices: List[str] = []
        with Journal(tmp_path, notices.append) as journal:
            assert [r.episode for r in journal.records] == [0], size
            journal.append(make_record(episode=1))
        assert path.read_bytes() == whole, size
        assert len(notices) == (1 if size > first else 0), size
        assert all(f"cut off {size - first} bytes" in text for text in notices)


def test_a_first_line_that_was_cut_off_leaves_an_empty_journal(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    path.write_bytes(b"x" * 200_000)
    with Journal(tmp_path, lambda text: None) as journal:
        assert journal.records == []
    assert path.read_bytes() == b""


def test_a_long_line_that_was_cut_off_spares_those_before(tmp_path: Path) -> None:
    whole = write(tmp_path, "success")
    path = tmp_path / "episodes.jsonl"
    path.write_bytes(whole + b"y" * 200_000)
    with Journal(tmp_path, lambda text: None) as journal:
        assert len(journal.records) == 1
    assert path.read_bytes() == whole


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    whole = write(tmp_path, "success", "success", "success")
    lines = whole.split(b"\n")
    lines[1] = lines[1][:50]
    path = tmp_path / "episodes.jsonl"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(EvaluationError, match=r"episodes\.jsonl, line 2: .*--restart"):
        Journal(tmp_path, print)
    assert path.read_bytes() == b"\n".join(lines)


def test_an_episode_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path, print) as journal:
        journal.append(make_record("success"))
        journal.append(make_record("failure"))
    with pytest.raises(EvaluationError, match="line 2"):
        Journal(tmp_path, print)


def test_an_episode_that_failed_in_the_simulator_may_be_replaced(tmp_path: Path) -> None:
    with Journal(tmp_path, print) as journal:
        journal.append(make_record("error"))
        journal.append(make_record("success"))
    with Journal(tmp_path, print) as journal:
        assert [r.outcome for r in journal.records] == ["success"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from vlaserve_libero.evaluation.journal import Journal\n"
        "Journal(Path(sys.argv[1]), print)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with Journal(tmp_path, print):
        other = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert other.returncode != 0
        assert "another run is writing to" in other.stderr
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
