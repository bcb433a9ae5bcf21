"""Reading a results folder, and what is written into it."""

from __future__ import annotations

import csv
import json
import os
import stat
from pathlib import Path
from typing import Any, List

import pytest
from made_up_records import make_folder, make_record

from vlaserve_libero.results.errors import ResultsError
from vlaserve_libero.results.files import (
    read_records,
    read_run,
    to_json_bytes,
    write_atomically,
    write_results,
)


def append(folder: Path, text: str) -> None:
    with (folder / "episodes.jsonl").open("a", encoding="utf-8") as file:
        file.write(text)


def test_records_come_back_in_order(tmp_path: Path) -> None:
    records = [make_record(task_id=t, episode=e) for t in (1, 0) for e in (1, 0)]
    folder = make_folder(tmp_path, records)
    assert read_records(folder) == sorted(records, key=lambda record: record.key)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, [make_record()])
    append(folder, '{"suite": "lib\n')
    with pytest.raises(ResultsError, match=r"episodes\.jsonl, line 2: damaged"):
        read_records(folder)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[1, 2]", "expected a JSON object, found list"),
        ('"text"', "expected a JSON object, found str"),
        ("null", "expected a JSON object, found NoneType"),
        ("NaN", "damaged"),
        ("", "damaged"),
        ("\x00\x00", "damaged"),
    ],
)
def test_what_is_no_object_is_refused(tmp_path: Path, line: str, expected: str) -> None:
    folder = make_folder(tmp_path, [])
    append(folder, line + "\n")
    with pytest.raises(ResultsError, match=rf"episodes\.jsonl, line 1: {expected}"):
        read_records(folder)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("steps", -1, "steps must be a whole number of at least 0"),
        ("steps", True, "steps must be a whole number"),
        ("task_id", "0", "task_id must be a whole number"),
        ("episode_s", -0.5, "episode_s must be a number of at least 0"),
        ("latency_ms", [1.0, "2"], "latency_ms must be a list of numbers"),
        ("latency_ms", [float("nan")], "NaN is no JSON number"),
        ("server_ms", 3.0, "server_ms must be a list of numbers"),
        ("actions", [[1.0], [1.0, 2.0]], "actions must be a list of rows of numbers"),
        ("first_chunk", [1.0], "first_chunk must be a list of rows of numbers"),
        ("video", 3, "video must be a text or null"),
        ("task", None, "task must be a text"),
        ("outcome", "won", "outcome is 'won'"),
        ("colour", "red", "unknown field 'colour'"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, field: str, value: Any, expected: str) -> None:
    folder = make_folder(tmp_path, [])
    append(folder, json.dumps({**make_record().to_json(), field: value}) + "\n")
    with pytest.raises(ResultsError, match=f"line 1: .*{expected}"):
        read_records(folder)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, [])
    value = make_record().to_json()
    del value["outcome"]
    append(folder, json.dumps(value) + "\n")
    with pytest.raises(ResultsError, match=r"line 1: .*outcome"):
        read_records(folder)


def test_an_unfinished_last_line_does_not_count(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, [make_record()])
    # Even if it happens to be whole: the writer ends each line in the same write.
    append(folder, json.dumps(make_record(episode=1).to_json()))
    assert read_records(folder) == [make_record()]


def test_an_episode_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, [make_record(), make_record(episode=1), make_record("failure")])
    with pytest.raises(
        ResultsError, match=r"line 3: libero_object task 0 episode 0 is already in line 1"
    ):
        read_records(folder)


def test_the_repetition_of_an_error_counts_instead_of_it(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, [make_record("error"), make_record("failure")])
    assert [record.outcome for record in read_records(folder)] == ["failure"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"run\.json: no such file"):
        read_run(tmp_path)
    with pytest.raises(ResultsError, match=r"episodes\.jsonl: no such file"):
        read_records(tmp_path)
    (tmp_path / "run.json").write_bytes(b"\xff{}")
    with pytest.raises(ResultsError, match=r"run\.json: damaged"):
        read_run(tmp_path)


def test_atomic_write_replaces_all_and_is_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old and longer")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["a.json"]  # noqa: PTH208


def test_a_failed_write_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_the_file_and_its_name_reach_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: List[bool] = []
    real = os.fsync

    def record(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    write_atomically(tmp_path / "a.json", b"new")
    assert synced == [False, True]


def test_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json_bytes({"rate": float("nan")})


def test_write_results_makes_what_results_md_lists(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    records = [make_record(episode=0), make_record("failure", episode=1)]
    folder = make_folder(tmp_path, records)
    summary = write_results(folder)
    made = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert made == {
        "run.json",
        "episodes.jsonl",
        "results.json",
        "episodes.csv",
        "plots/success.png",
        "plots/latency_histogram.png",
        "plots/latency_timeline.png",
    }
    assert json.loads((folder / "results.json").read_text(encoding="utf-8")) == summary
    before = {name: (folder / name).read_bytes() for name in made}
    write_results(folder)
    assert {name: (folder / name).read_bytes() for name in made} == before


def test_write_results_without_plots_draws_none(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, [make_record()])
    write_results(folder, plots=False)
    assert (folder / "results.json").exists()
    assert not (folder / "plots").exists()


def test_write_results_of_a_run_without_episodes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    folder = make_folder(tmp_path, [])
    summary = write_results(folder)
    assert summary["overall"]["n_episodes"] == 0
    assert list((folder / "plots").iterdir()) == []
    assert len((folder / "episodes.csv").read_text(encoding="utf-8").splitlines()) == 1


def test_csv_has_a_row_per_episode_and_quotes_texts(tmp_path: Path) -> None:
    records = [
        make_record(episode=0, latency_ms=[10.0, 30.0], video="videos/a.mp4"),
        make_record("error", episode=1, error='broke, and said "no"\ntwice', latency_ms=[]),
        make_record("failure", episode=2, prompt="ünïcode"),
    ]
    folder = make_folder(tmp_path, records)
    write_results(folder, plots=False)
    with (folder / "episodes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["success"] for row in rows] == ["1", "", "0"]
    assert [row["episode"] for row in rows] == ["0", "1", "2"]
    assert rows[0]["latency_mean_ms"] == "20.000"
    assert rows[0]["latency_max_ms"] == "30.000"
    assert rows[0]["video"] == "videos/a.mp4"
    assert rows[1]["error"] == 'broke, and said "no"\ntwice'
    assert rows[1]["latency_mean_ms"] == ""
    assert rows[2]["prompt"] == "ünïcode"
