"""Two runs, episode by episode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, List, Optional

import pytest
from made_up_records import make_folder, make_record

from vlaserve_libero.compare import (
    Comparison,
    compare_runs,
    describe_policy,
    format_comparison,
    plot_comparison,
)
from vlaserve_libero.records import EpisodeRecord
from vlaserve_libero.results.errors import ResultsError

# Of one task each: outcomes of run A and run B, S(uccess), F(ailure), E(rror).
TASKS = [("SSSFF", "SSFSF"), ("SSSSE", "FFFFS"), ("FFFF", "FFFE")]
NAMES = {"S": "success", "F": "failure", "E": "error"}


def run(outcomes: List[str], **changes: Any) -> List[EpisodeRecord]:
    return [
        make_record(
            NAMES[letter], task_id=task, episode=episode, prompt=f"pick up the thing {task}",
            **changes,
        )
        for task, letters in enumerate(outcomes)
        for episode, letter in enumerate(letters)
    ]  # fmt: skip


def compared(
    tmp_path: Path,
    a: List[EpisodeRecord],
    b: List[EpisodeRecord],
    threshold: Optional[float] = None,
) -> Comparison:
    folders = make_folder(tmp_path / "float32", a), make_folder(tmp_path / "w4a8", b)
    return (
        compare_runs(*folders) if threshold is None else compare_runs(*folders, threshold=threshold)
    )


def test_pairs_are_counted_per_task_and_in_all(tmp_path: Path) -> None:
    comparison = compared(tmp_path, run([a for a, _ in TASKS]), run([b for _, b in TASKS]))
    counts = [task.counts for task in comparison.tasks]
    assert [(c.both, c.only_a, c.only_b, c.neither) for c in counts] == [
        (2, 1, 1, 1),
        (0, 4, 0, 0),
        (0, 0, 0, 3),
    ]
    overall = comparison.overall
    assert (overall.both, overall.only_a, overall.only_b, overall.neither) == (2, 5, 1, 4)
    assert overall.p_value == pytest.approx(2 * 7 / 64)
    assert overall.difference == pytest.approx(-4 / 12)
    low, high = overall.difference_ci95 or (0.0, 0.0)
    assert low < -4 / 12 < high
    assert comparison.errors == [("libero_object", 1, 4), ("libero_object", 2, 3)]


def test_the_interval_belongs_to_b_minus_a(tmp_path: Path) -> None:
    comparison = compared(tmp_path, run(["FFFFFFFFFF"]), run(["SSSSSSSSSF"]))
    low, high = comparison.overall.difference_ci95 or (0.0, 0.0)
    assert 0.4 < low < 0.9 < high <= 1.0
    assert comparison.overall.difference == pytest.approx(0.9)


def test_episodes_are_paired_by_key_not_by_order(tmp_path: Path) -> None:
    a, b = run(["SF"]), run(["SF"])
    comparison = compared(tmp_path, a, b[::-1])
    assert (comparison.overall.both, comparison.overall.neither) == (1, 1)


def test_episodes_of_one_run_only_are_told_and_not_counted(tmp_path: Path) -> None:
    comparison = compared(tmp_path, run(["SSS"]), run(["S", "F"]))
    assert comparison.overall.pairs == 1
    assert comparison.a.unpaired == [("libero_object", 0, 1), ("libero_object", 0, 2)]
    assert comparison.b.unpaired == [("libero_object", 1, 0)]
    text = format_comparison(comparison)
    assert "Only in A: 2 episodes." in text
    assert "Only in B: 1 episodes." in text


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("protocol", {"name": "openpi", "settle_steps": 10, "replan_steps": 10},
         "protocol.replan_steps: 5 and 10"),
        ("protocol", {"name": "openpi", "settle_steps": 10, "replan_steps": 5, "shifts": "s.json"},
         "protocol.shifts: None and 's.json'"),
        ("seed", 8, "seed: 7 and 8"),
    ],
)  # fmt: skip
def test_runs_of_another_protocol_or_seed_are_refused(
    tmp_path: Path, field: str, value: Any, expected: str
) -> None:
    a = make_folder(tmp_path / "a", run(["S"]))
    b = make_folder(tmp_path / "b", run(["S"]), **{field: value})
    with pytest.raises(ResultsError, match="cannot be compared") as caught:
        compare_runs(a, b)
    assert expected in str(caught.value)
    assert str(caught.value).count("\n") == 1, "nothing else differs"


@pytest.mark.parametrize(
    ("field", "value"), [("init_state", 41), ("seed", 8), ("prompt", "else"), ("task", "else")]
)
def test_pairs_of_other_episodes_are_refused(tmp_path: Path, field: str, value: Any) -> None:
    expected = f"task 0 episode 0: {field}: .* and {value!r}"
    with pytest.raises(ResultsError, match=expected):
        compared(tmp_path, [make_record()], [make_record(**{field: value})])


def test_many_differences_are_cut_short(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="and 28 more") as caught:
        compared(tmp_path, run(["S" * 40]), run(["S" * 40], init_state=3))
    assert str(caught.value).count("init_state: 40 and 3") == 12


def test_another_server_is_what_is_compared(tmp_path: Path) -> None:
    a = make_folder(tmp_path / "a", run(["S"]), server={"version": "1", "address": "a:1"})
    b = make_folder(tmp_path / "b", run(["S"]), server={"version": "2", "address": "a:2"})
    comparison = compare_runs(a, b)
    assert comparison.overall.both == 1
    assert comparison.differs == ["server.version: '1' and '2'"]
    assert "  server.version: '1' and '2'" in format_comparison(comparison).splitlines()


def test_the_policies_are_named_in_words() -> None:
    quantization = {
        "engine": "int", "preset": "best_w4a8", "quantized_linears": 36, "linears": 63,
    }  # fmt: skip
    server = {"name": "demo", "compute_dtype": "float32", "device": "cpu"}
    assert describe_policy({"policy": "scripted", "server": None}) == "scripted"
    assert describe_policy({"policy": "server", "server": server}) == "demo, float32, cpu"
    assert describe_policy({"server": {**server, "quantization": quantization}}) == (
        "demo, float32, cpu, best_w4a8 (int): 36 of 63 linears quantized"
    )


def test_no_episode_in_common_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no episode in common"):
        compared(tmp_path, [make_record(episode=0)], [make_record(episode=1)])


def test_a_run_without_protocol_is_named(tmp_path: Path) -> None:
    a = make_folder(tmp_path / "a", run(["S"]))
    b = make_folder(tmp_path / "b", run(["S"]))
    (b / "run.json").write_text('{"seed": 7}', encoding="utf-8")
    with pytest.raises(ResultsError, match=r"b/run\.json: no field 'protocol'"):
        compare_runs(a, b)


def test_first_chunks_are_compared_per_dimension(tmp_path: Path) -> None:
    a = [make_record(first_chunk=[[0.0, 1.0], [0.0, 1.0]])]
    # Of a longer horizon the common rows count.
    b = [make_record(first_chunk=[[0.1, 1.0], [-0.3, 1.5], [9.0, 9.0]])]
    chunk = compared(tmp_path, a, b).first_chunk
    assert chunk is not None
    assert chunk.actions == 2
    assert chunk.mean == pytest.approx([0.2, 0.25])
    assert chunk.max == pytest.approx([0.3, 0.5])


def test_trajectories_are_compared_until_they_part(tmp_path: Path) -> None:
    a = [make_record(episode=e, actions=[[0.0, 0.0]] * 4) for e in range(3)]
    b = [
        make_record(episode=0, actions=[[0.01, 0.0], [0.0, 0.02], [0.0, 0.3], [0.9, 0.9]]),
        make_record(episode=1, actions=[[0.0, 0.0]] * 3),
        make_record(episode=2, actions=[[-0.2, 0.0]] * 4),
    ]
    paths = compared(tmp_path, a, b).trajectories
    assert paths is not None
    assert (paths.episodes, paths.never, paths.threshold) == (3, 1, 0.1)
    assert paths.parting_step is not None
    assert (paths.parting_step["min"], paths.parting_step["max"]) == (0, 2)
    assert paths.until_parting is not None
    assert paths.until_parting.actions == 5
    assert paths.until_parting.max == pytest.approx([0.01, 0.02])
    assert paths.until_parting.mean == pytest.approx([0.002, 0.004])


def test_the_threshold_can_be_chosen(tmp_path: Path) -> None:
    a = [make_record(actions=[[0.0], [0.0]])]
    b = [make_record(actions=[[0.0], [0.3]])]
    for threshold, never in ((0.2, 0), (0.3, 1)):
        paths = compared(tmp_path, a, b, threshold).trajectories
        assert paths is not None
        assert paths.never == never


def test_actions_of_other_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="2 dimensions in one run and 1 in the other"):
        compared(tmp_path, [make_record()], [make_record(first_chunk=[[0.0]])])


@pytest.mark.parametrize("letters", [["S"], ["E"], TASKS[0]], ids=["same", "errors", "mixed"])
def test_the_comparison_is_json_and_text(tmp_path: Path, letters: Any) -> None:
    b = run([letters[-1]], latency_ms=[], server_ms=[], queries=0, actions=[], first_chunk=[])
    comparison = compared(tmp_path, run([letters[0]]), b)
    value = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert value["schema_version"] == 1
    assert value["overall"]["mcnemar_p"] == comparison.overall.p_value
    assert value["a"]["latency_ms"]["p50"] == 20
    assert value["b"]["latency_ms"] is None
    assert value["first_chunk"] is None
    text = format_comparison(comparison)
    assert "A: float32" in text
    assert "Latency B: the policy was not asked." in text


def test_the_text_has_the_test_and_the_actions(tmp_path: Path) -> None:
    a = run(["SSSSSSSSSS"])
    b = run(["SFFFFFFFFF"], latency_ms=[10.0], first_chunk=[[0.5, 0.1]] * 4)
    text = format_comparison(compared(tmp_path, a, b))
    assert "A 100.0 %, B 10.0 %; B - A -90.0 points" in text
    assert "p = 0.00391" in text
    assert "Latency A: median 20.0 ms" in text
    assert "Latency B: median 10.0 ms" in text
    assert "First chunk" in text
    assert "in 0 of 10 episodes." in text


def test_runs_in_folders_of_one_name_stay_distinct(tmp_path: Path) -> None:
    a = make_folder(tmp_path / "x" / "run", run(["S"]))
    b = make_folder(tmp_path / "y" / "run", run(["S"]))
    comparison = compare_runs(a, b)
    assert (comparison.a.label, comparison.b.label) == (str(a), str(b))


def test_the_picture_has_both_runs(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    png = plot_comparison(compared(tmp_path, run(["SSFF", "SS"]), run(["SFFF", "SS"])))
    assert png.startswith(b"\x89PNG")
    empty = compared(tmp_path, run(["E"]), run(["S"]))
    with pytest.raises(ResultsError, match="nothing to draw"):
        plot_comparison(empty)
