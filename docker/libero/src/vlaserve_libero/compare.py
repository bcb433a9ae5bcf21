"""Compares two runs of the same episodes, for instance one server in float32 and one quantized."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from vlaserve_libero.records import EpisodeKey, EpisodeRecord
from vlaserve_libero.results.actions import (
    DEFAULT_THRESHOLD,
    ActionDifference,
    TrajectoryDifference,
    first_chunk_difference,
    trajectory_difference,
)
from vlaserve_libero.results.errors import ResultsError
from vlaserve_libero.results.files import read_records, read_run
from vlaserve_libero.results.names import task_names
from vlaserve_libero.results.pairs import Pair, PairCounts, count_pairs
from vlaserve_libero.results.statistics import distribution
from vlaserve_libero.results.table import format_rows, percent, shorten

# Raised when a field of the JSON form changes its meaning or goes away.
SCHEMA_VERSION = 1

# Fields of run.json that decide what an episode is. The policy, the server and the versions may
# differ: they are what is compared.
RUN_FIELDS = ("protocol", "seed")

# Fields of run.json that are compared: whatever differs here may be why results differ.
SUBJECT_FIELDS = ("policy", "query", "server", "versions")

# What decides an episode in a record.
EPISODE_FIELDS = ("task", "prompt", "init_state", "seed")

# More differences than this are only counted.
_LISTED = 12


@dataclass(frozen=True)
class TaskComparison:
    """The pairs of one task."""

    suite: str
    task_id: int
    task: str
    prompt: str
    counts: PairCounts


@dataclass(frozen=True)
class RunSide:
    """What is said of one of the two runs by itself."""

    label: str
    folder: Path
    policy: str  # in words
    unpaired: List[EpisodeKey]  # episodes that the other run does not have
    latency_ms: Optional[Dict[str, float]]  # of the paired episodes, see `distribution`
    server_ms: Optional[Dict[str, float]]

    def to_json(self) -> Dict[str, Any]:
        """As an object with the fields' names."""
        return {**asdict(self), "folder": str(self.folder)}


@dataclass(frozen=True)
class Comparison:
    """Two runs, episode by episode. Differences are B minus A."""

    a: RunSide
    b: RunSide
    differs: List[str]  # what may be why: policy, server, query and versions, "NAME: A and B" each
    tasks: List[TaskComparison]
    overall: PairCounts
    errors: List[EpisodeKey]  # pairs left out, since the simulator failed in one of the runs
    first_chunk: Optional[ActionDifference]
    trajectories: Optional[TrajectoryDifference]

    def to_json(self) -> Dict[str, Any]:
        """For programs; the fields are described in RESULTS.md."""
        return {
            "schema_version": SCHEMA_VERSION,
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "differs": self.differs,
            "per_task": [
                {
                    "suite": task.suite,
                    "task_id": task.task_id,
                    "task": task.task,
                    "prompt": task.prompt,
                    **task.counts.to_json(),
                }
                for task in self.tasks
            ],
            "overall": self.overall.to_json(),
            "errors": self.errors,
            "first_chunk": None if self.first_chunk is None else asdict(self.first_chunk),
            "trajectories": None if self.trajectories is None else asdict(self.trajectories),
        }


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 70 else text[:67] + "..."


def _differences(a: object, b: object, name: str) -> List[str]:
    """Paths and values at which two JSON values differ; a missing field is as good as null."""
    if isinstance(a, dict) and isinstance(b, dict):
        found = []
        for key in sorted(set(a) | set(b)):
            found += _differences(a.get(key), b.get(key), f"{name}.{key}")
        return found
    return [] if a == b else [f"{name}: {_short(a)} and {_short(b)}"]


def _subject_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> List[str]:
    found: List[str] = []
    for name in SUBJECT_FIELDS:
        found += _differences(a.get(name), b.get(name), name)
    # Where a server listens has no influence.
    return [line for line in found if not line.startswith("server.address: ")]


def describe_policy(run: Mapping[str, Any]) -> str:
    """A run's policy in words: what served it, in which arithmetic.

    Args:
        run: The content of run.json.
    """
    server = run.get("server")
    if server is None:
        return str(run.get("policy"))
    parts = [server.get("name"), server.get("compute_dtype"), server.get("device")]
    quantization = server.get("quantization") or {}
    linears = quantization.get("quantized_linears")
    if linears:
        parts.append(
            f"{quantization.get('preset')} ({quantization.get('engine')}): {linears} of "
            f"{quantization.get('linears')} linears quantized"
        )
    return ", ".join(str(part) for part in parts if part)


def _listed(title: str, found: Sequence[str]) -> List[str]:
    """Lines: a title and what it announces; none if there is nothing."""
    if not found:
        return []
    more = [f"  and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
    return [title, *(f"  {line}" for line in found[:_LISTED]), *more]


def _check_comparable(
    folders: Sequence[Path], runs: Sequence[Mapping[str, Any]], pairs: Sequence[Pair]
) -> None:
    for folder, run in zip(folders, runs):
        for name in RUN_FIELDS:
            if name not in run:
                raise ResultsError(f"{folder / 'run.json'}: no field {name!r}")
    found: List[str] = []
    for name in RUN_FIELDS:
        found += _differences(runs[0][name], runs[1][name], name)
    for pair in pairs:
        where = f"{pair[0].suite} task {pair[0].task_id} episode {pair[0].episode}"
        for name in EPISODE_FIELDS:
            in_a, in_b = (getattr(record, name) for record in pair)
            found += _differences(in_a, in_b, f"{where}: {name}")
    if found:
        title = f"{folders[0]} and {folders[1]} cannot be compared, their episodes differ in:"
        raise ResultsError("\n".join(_listed(title, found)))


def _side(
    folder: Path,
    label: str,
    run: Mapping[str, Any],
    own: Mapping[EpisodeKey, EpisodeRecord],
    other: Mapping[EpisodeKey, EpisodeRecord],
) -> RunSide:
    paired = [record for key, record in own.items() if key in other]
    return RunSide(
        label=label,
        folder=folder,
        policy=describe_policy(run),
        unpaired=sorted(set(own) - set(other)),
        latency_ms=distribution([ms for record in paired for ms in record.latency_ms]),
        server_ms=distribution([ms for record in paired for ms in record.server_ms]),
    )


def compare_runs(a: Path, b: Path, *, threshold: float = DEFAULT_THRESHOLD) -> Comparison:
    """Pairs the episodes of two runs by suite, task and episode.

    Args:
        a: Results folder of the first run.
        b: Results folder of the second run.
        threshold: Difference of an action, in any dimension, at which trajectories part.

    Raises:
        ResultsError: A folder cannot be read, the runs differ in what decides an episode (protocol,
            seed, init states; the message lists it), or they have no episode in common.
    """
    runs = [read_run(folder) for folder in (a, b)]
    records_a, records_b = ({r.key: r for r in read_records(folder)} for folder in (a, b))
    pairs = [(record, records_b[key]) for key, record in records_a.items() if key in records_b]
    _check_comparable((a, b), runs, pairs)
    if not pairs:
        raise ResultsError(f"{a} and {b} have no episode in common")

    scored: List[Pair] = []
    errors: List[EpisodeKey] = []
    for pair in pairs:
        if "error" in (pair[0].outcome, pair[1].outcome):
            errors.append(pair[0].key)
        else:
            scored.append(pair)
    by_task: Dict[Any, List[Pair]] = {}
    for pair in scored:
        by_task.setdefault((pair[0].suite, pair[0].task_id), []).append(pair)
    label_a, label_b = a.resolve().name, b.resolve().name
    if label_a == label_b:
        label_a, label_b = str(a), str(b)
    return Comparison(
        a=_side(a, label_a, runs[0], records_a, records_b),
        b=_side(b, label_b, runs[1], records_b, records_a),
        differs=_subject_differences(*runs),
        tasks=[
            TaskComparison(suite, task_id, own[0][0].task, own[0][0].prompt, count_pairs(own))
            for (suite, task_id), own in by_task.items()
        ],
        overall=count_pairs(scored),
        errors=errors,
        first_chunk=first_chunk_difference(pairs),
        trajectories=trajectory_difference(scored, threshold),
    )


def plot_comparison(comparison: Comparison) -> bytes:
    """Success per task of both runs side by side, paired episodes only.

    Returns:
        A PNG file.

    Raises:
        ResultsError: matplotlib is not installed, or no pair has an outcome.
    """
    # Imported here, since drawing is an extra.
    from vlaserve_libero.results.plots import Panel, Series, TaskCount, plot_success

    series = []
    for side, successes in ((comparison.a, "successes_a"), (comparison.b, "successes_b")):
        series.append(
            Series(
                side.label,
                [
                    TaskCount(
                        task.suite, task.task_id, task.prompt,
                        getattr(task.counts, successes), task.counts.pairs,
                    )
                    for task in comparison.tasks
                ],
            )
        )  # fmt: skip
    return plot_success([Panel("", series)])


def _row(name: str, counts: PairCounts) -> List[str]:
    difference, interval = counts.difference, counts.difference_ci95
    return [
        name,
        f"{counts.successes_a}/{counts.pairs}",
        f"{counts.successes_b}/{counts.pairs}",
        str(counts.both),
        str(counts.only_a),
        str(counts.only_b),
        str(counts.neither),
        "-" if difference is None else f"{100 * difference:+.1f} %",
        "-" if interval is None else f"{100 * interval[0]:+.1f} .. {100 * interval[1]:+.1f} %",
        f"{counts.p_value:.3f}",
    ]


def _numbers(values: Sequence[float]) -> str:
    return "  ".join(f"{value:.2g}" for value in values)


def _action_lines(comparison: Comparison) -> List[str]:
    lines = []
    chunk = comparison.first_chunk
    if chunk is not None:
        lines += [
            f"First chunk (same observation and noise), |A - B| per action dimension, "
            f"{chunk.actions} actions:",
            f"  mean  {_numbers(chunk.mean)}",
            f"  max   {_numbers(chunk.max)}",
        ]
    paths = comparison.trajectories
    if paths is not None:
        parted = paths.episodes - paths.never
        text = (
            f"Executed actions differ by more than {paths.threshold:g} in {parted} of "
            f"{paths.episodes} episodes"
        )
        if paths.parting_step is not None:
            step = paths.parting_step
            text += f", first in step {step['p50']:.0f} (median; earliest {step['min']:.0f})"
        lines.append(text + ".")
        if paths.until_parting is not None:
            lines += [
                f"  Until then: mean  {_numbers(paths.until_parting.mean)}",
                f"              max   {_numbers(paths.until_parting.max)}",
            ]
    return lines


def _latency_line(side: RunSide, name: str) -> str:
    if side.latency_ms is None:
        return f"Latency {name}: the policy was not asked."
    latency = side.latency_ms
    text = (
        f"Latency {name}: median {latency['p50']:.1f} ms, p90 {latency['p90']:.1f}, "
        f"p99 {latency['p99']:.1f}, largest {latency['max']:.1f}"
    )
    if side.server_ms is not None:
        text += f"; server's own median {side.server_ms['p50']:.1f} ms"
    return text + "."


def format_comparison(comparison: Comparison) -> str:
    """The comparison as text for a terminal: table, test, actions, latencies, what was left out."""
    a, b, overall = comparison.a, comparison.b, comparison.overall
    header = ["task", "A", "B", "both", "only A", "only B", "neither", "B - A"]
    header += ["95 % interval", "p"]
    rows: List[List[str]] = []
    suites = sorted({task.suite for task in comparison.tasks})
    for suite in suites:
        tasks = [task for task in comparison.tasks if task.suite == suite]
        names = task_names([t.task_id for t in tasks], [t.prompt for t in tasks])
        for name, task in zip(names, tasks):
            rows.append(_row(shorten(f"{suite} {name}" if len(suites) > 1 else name), task.counts))
    rows += [["---"], _row("all", overall)]
    lines = [f"A: {a.label}: {a.policy}", f"B: {b.label}: {b.policy}"]
    lines += _listed("What differs beside the results (A and B):", comparison.differs)
    lines += ["", format_rows(header, rows), ""]
    if overall.difference is not None and overall.difference_ci95 is not None:
        low, high = overall.difference_ci95
        lines.append(
            f"Success: A {percent(overall.successes_a / overall.pairs)}, "
            f"B {percent(overall.successes_b / overall.pairs)}; B - A "
            f"{100 * overall.difference:+.1f} points, 95 % interval {100 * low:+.1f} to "
            f"{100 * high:+.1f}; McNemar's exact test p = {overall.p_value:.3g}."
        )
    lines += _action_lines(comparison)
    lines += [_latency_line(a, "A"), _latency_line(b, "B")]
    if comparison.errors:
        lines.append(f"Left out, as the simulator failed: {len(comparison.errors)} pairs.")
    for side, name in ((a, "A"), (b, "B")):
        if side.unpaired:
            lines.append(f"Only in {name}: {len(side.unpaired)} episodes.")
    return "\n".join(lines)
