"""The content of results.json and the table on the terminal."""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, Sequence

import pytest
from made_up_records import make_record, make_run

from vlaserve_libero.records import EpisodeRecord
from vlaserve_libero.results.errors import ResultsError
from vlaserve_libero.results.names import task_names
from vlaserve_libero.results.summary import summarize
from vlaserve_libero.results.table import format_table


def outcomes(*names: str, **changes: Any) -> List[EpisodeRecord]:
    return [make_record(name, episode=i, **changes) for i, name in enumerate(names)]


def test_errors_are_neither_successes_nor_failures() -> None:
    overall = summarize(outcomes("success", "error", "failure", "success"), make_run())["overall"]
    assert overall["n_episodes"] == 3
    assert (overall["successes"], overall["failures"], overall["errors"]) == (2, 1, 1)
    assert overall["pc_success"] == pytest.approx(200 / 3)
    assert overall["success_rate"] == pytest.approx(2 / 3)
    assert overall["success_rate_ci95"] == pytest.approx([0.20766, 0.93851], abs=1e-5)


def test_lerobots_keys_have_lerobots_meaning() -> None:
    records = outcomes("success", "failure", "error") + outcomes("success", task_id=1)
    records[0] = make_record(episode=0, video="videos/a.mp4")
    summary = summarize(records, make_run())
    task = summary["per_task"][0]
    assert (task["task_group"], task["task_id"]) == ("libero_object", 0)
    assert task["metrics"] == {
        "sum_rewards": [1.0, 0.0],
        "max_rewards": [1.0, 0.0],
        "successes": [True, False],
        "video_paths": ["videos/a.mp4"],
    }
    for part in (summary["per_group"]["libero_object"], summary["overall"]):
        assert part["avg_sum_reward"] == part["avg_max_reward"] == pytest.approx(2 / 3)
        assert part["pc_success"] == pytest.approx(200 / 3)
        assert part["n_episodes"] == 3
        assert part["video_paths"] == ["videos/a.mp4"]
    overall = summary["overall"]
    assert overall["eval_ep_s"] == pytest.approx(overall["eval_s"] / 3)


def test_eval_s_counts_parallel_episodes_once_and_pauses_not() -> None:
    records = [
        make_record(episode=0, started_at="2026-03-01T10:00:00+00:00", episode_s=10.0),
        make_record(episode=1, started_at="2026-03-01T10:00:04Z", episode_s=10.0),
        make_record(episode=2, started_at="2026-03-01T10:00:05", episode_s=1.0),
        make_record(episode=3, started_at="2026-03-01T13:00:00+02:00", episode_s=5.0),
    ]
    assert summarize(records, make_run())["overall"]["eval_s"] == pytest.approx(19.0)


def test_a_start_that_is_no_time_is_an_error() -> None:
    with pytest.raises(ResultsError, match="task 0 episode 0: started_at is 'yesterday'"):
        summarize([make_record(started_at="yesterday")], make_run())


def test_steps_are_those_of_successes() -> None:
    records = [
        make_record(episode=0, steps=100),
        make_record("failure", episode=1, steps=280),
        make_record(episode=2, steps=120),
        make_record("error", episode=3, steps=5),
    ]
    steps = summarize(records, make_run())["overall"]["success_steps"]
    assert (steps["count"], steps["min"], steps["p50"], steps["max"]) == (2, 100, 110, 120)


def test_latencies_are_those_of_all_queries() -> None:
    records = [
        make_record(episode=0, queries=2, latency_ms=[10.0, 20.0], server_ms=[9.0, 19.0]),
        make_record("failure", episode=1, latency_ms=[90.0], server_ms=[]),
    ]
    overall = summarize(records, make_run())["overall"]
    assert overall["latency_ms"]["p50"] == 20
    assert overall["latency_ms"]["max"] == 90
    assert overall["server_ms"]["count"] == 2
    assert overall["queries"] == 3


def test_interruptions_are_added_up() -> None:
    records = [
        make_record(episode=0, interruptions=2),
        make_record(episode=1, interruptions=3),
        make_record(episode=2),
    ]
    overall = summarize(records, make_run())["overall"]
    assert (overall["interruptions"], overall["interrupted_episodes"]) == (5, 2)


def test_the_run_is_kept_as_it_is() -> None:
    run = make_run(versions={"mujoco": "3.2.3"})
    summary = summarize([], run)
    assert summary["run"] == run
    assert summary["schema_version"] == 1


def every_number(value: Any) -> List[float]:
    if isinstance(value, dict):
        return [n for v in value.values() for n in every_number(v)]
    if isinstance(value, list):
        return [n for v in value for n in every_number(v)]
    return [value] if isinstance(value, (int, float)) else []


@pytest.mark.parametrize(
    "records",
    [
        [],
        outcomes("success"),
        outcomes("failure"),
        outcomes("error", "error", latency_ms=[], server_ms=[], queries=0),
    ],
    ids=["none", "one success", "one failure", "errors only"],
)
def test_numbers_are_finite_or_null(records: Sequence[EpisodeRecord]) -> None:
    summary = summarize(records, make_run())
    text = json.dumps(summary, allow_nan=False)
    assert json.loads(text) == summary
    assert all(math.isfinite(number) for number in every_number(summary))
    scored = sum(record.outcome != "error" for record in records)
    assert (summary["overall"]["pc_success"] is None) == (scored == 0)
    assert len(format_table(summary).splitlines()) >= 3


def table_rows(records: Sequence[EpisodeRecord]) -> List[str]:
    return format_table(summarize(records, make_run())).splitlines()


def test_the_table_shows_counts_rate_interval_steps_and_latency() -> None:
    rows = table_rows(outcomes("success", "failure", "error"))
    assert rows[0].split() == [
        "task", "success", "rate", "95", "%", "interval", "steps", "ms", "errors",
    ]  # fmt: skip
    assert rows[2].split() == [
        "0", "pick", "up", "the", "milk", "1/2", "50.0", "%", "9.5", "-", "90.5", "%", "3",
        "20.0", "1",
    ]  # fmt: skip
    assert rows[-1].startswith("all of libero_object")
    widths = {len(row) for row in rows}
    assert len(widths) == 1, "columns are aligned"


def test_the_table_of_two_suites_has_a_line_for_each() -> None:
    records = outcomes("success") + outcomes("failure", suite="libero_goal")
    names = [row.split("  ")[0] for row in table_rows(records)]
    assert "libero_goal" in names
    assert "libero_object" in names
    assert names[-1] == "all"


def test_the_table_shows_interruptions() -> None:
    records = [make_record(interruptions=4)]
    assert "repeated 4 times, in 1 episode." in table_rows(records)[-1]
    assert "server" not in "".join(table_rows([make_record()]))


def test_an_unmeasured_cell_is_a_dash() -> None:
    row = table_rows(outcomes("error", latency_ms=[], server_ms=[]))[2]
    assert row.split()[-6:] == ["0/0", "-", "-", "-", "-", "1"]


def test_tasks_are_named_by_the_words_that_differ() -> None:
    prompts = ["pick up the milk and place it", "pick up the bbq sauce and place it"]
    assert task_names([7, 3], prompts) == ["7 milk", "3 bbq sauce"]
    assert task_names([0], ["pick up the milk"]) == ["0 pick up the milk"]
    assert task_names([0, 1], ["same words", "same words"]) == ["0 words", "1 words"]
    assert task_names([0, 1], ["open it", "open"]) == ["0 open it", "1 open"]
    assert task_names([], []) == []


def test_a_long_name_is_cut() -> None:
    named: Dict[str, Any] = {"prompt": "x" * 200, "task": "y" * 200}
    assert max(map(len, table_rows([make_record(**named)]))) <= 110
