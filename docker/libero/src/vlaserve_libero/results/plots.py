"""Pictures of a run, and of runs side by side, as PNG files.

Drawn without matplotlib's global state, so that neither a display nor a backend setting matters.
"""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from vlaserve_libero.records import EpisodeRecord
from vlaserve_libero.results.errors import ResultsError
from vlaserve_libero.results.names import task_names
from vlaserve_libero.results.statistics import wilson_interval
from vlaserve_libero.results.summary import start_time

try:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise ResultsError("plots need matplotlib: pip install 'vlaserve-libero[plots]'") from error

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/): told apart with any colour vision.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_DPI = 150


@dataclass(frozen=True)
class TaskCount:
    """How often a task succeeded."""

    suite: str
    task_id: int
    prompt: str
    successes: int
    episodes: int  # successes and failures; simulator errors are neither


@dataclass(frozen=True)
class Series:
    """The bars of one colour: one run."""

    label: str
    tasks: Sequence[TaskCount]


@dataclass(frozen=True)
class Panel:
    """One diagram: runs to be compared under one condition."""

    title: str
    series: Sequence[Series]


def series_of_run(label: str, summary: Mapping[str, Any]) -> Series:
    """The bars of a whole run.

    Args:
        label: The run's name in the legend.
        summary: The content of its results.json.
    """
    return Series(
        label,
        [
            TaskCount(
                task["task_group"],
                task["task_id"],
                task["prompt"],
                task["successes"],
                task["successes"] + task["failures"],
            )
            for task in summary["per_task"]
        ],
    )


def plot_run(summary: Mapping[str, Any], records: Sequence[EpisodeRecord]) -> Dict[str, bytes]:
    """All pictures of one run.

    Args:
        summary: What `summarize` made of the records.
        records: The run's episodes.

    Returns:
        PNG files by name: "success.png" if an episode has ended, "latency_histogram.png" and
        "latency_timeline.png" if the policy was asked.
    """
    pictures = {}
    if records:
        pictures["success.png"] = plot_success([Panel("", [series_of_run("", summary)])])
    if any(record.latency_ms for record in records):
        pictures["latency_histogram.png"] = plot_latency_histogram(records)
        pictures["latency_timeline.png"] = plot_latency_timeline(records)
    return pictures


def plot_success(panels: Sequence[Panel]) -> bytes:
    """Success per task with 95 % Wilson intervals: a panel per condition, a colour per run.

    Args:
        panels: Side by side; the same runs (labels) in each.

    Returns:
        A PNG file.

    Raises:
        ResultsError: There is nothing to draw, or more runs than colours.
    """
    tasks = sorted(
        {(t.suite, t.task_id): t.prompt for p in panels for s in p.series for t in s.tasks}.items()
    )
    runs = max((len(panel.series) for panel in panels), default=0)
    if not tasks:
        raise ResultsError("no episode of any task has ended: nothing to draw")
    if runs > len(_COLOURS):
        raise ResultsError(f"{runs} runs: a picture has room for {len(_COLOURS)}")
    names = _row_names([key for key, _ in tasks], [prompt for _, prompt in tasks])

    height = 1.3 + (len(tasks) + 1) * (0.14 + 0.2 * runs)
    figure = Figure(figsize=(2.0 + 4.0 * len(panels), height), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, panel in zip(axes, panels):
        for index, series in enumerate(panel.series):
            offset = (index - (len(panel.series) - 1) / 2) * 0.8 / runs
            counts = {(t.suite, t.task_id): (t.successes, t.episodes) for t in series.tasks}
            total = (sum(c[0] for c in counts.values()), sum(c[1] for c in counts.values()))
            rows = [counts.get(key, (0, 0)) for key, _ in tasks] + [total]
            _draw_bars(axis, rows, offset, 0.8 / runs, _COLOURS[index], series.label)
        # The sum of all tasks stands apart.
        axis.axhline(len(tasks) - 0.5, color="black", linewidth=0.8)
        axis.set_xlim(0, 102)
        axis.set_xlabel("success, % (lines: 95 % Wilson interval)")
        axis.set_title(panel.title)
        axis.grid(axis="x", color="0.9")
        axis.set_axisbelow(True)
    axes[0].set_yticks(range(len(tasks) + 1), [*names, "all tasks"])
    axes[0].set_ylim(len(tasks) + 0.5, -0.5)
    handles, labels = axes[0].get_legend_handles_labels()
    if any(labels):
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    return _png(figure)


def _draw_bars(
    axis: Axes,
    rows: Sequence[Tuple[int, int]],
    offset: float,
    height: float,
    colour: str,
    label: str,
) -> None:
    positions, rates, low, high = [], [], [], []
    for row, (successes, episodes) in enumerate(rows):
        if episodes == 0:
            axis.text(1, row + offset, "no result", va="center", fontsize=7, color="0.4")
            continue
        rate = 100 * successes / episodes
        limits = wilson_interval(successes, episodes)
        positions.append(row + offset)
        rates.append(rate)
        low.append(rate - 100 * limits[0])
        high.append(100 * limits[1] - rate)
        axis.text(
            1, row + offset, f"{successes}/{episodes}", va="center", fontsize=7,
            bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "linewidth": 0},
        )  # fmt: skip
    axis.barh(positions, rates, height=0.92 * height, color=colour, label=label)
    axis.errorbar(
        rates, positions, xerr=(low, high), fmt="none", ecolor="black", elinewidth=0.9, capsize=2
    )


def _row_names(keys: Sequence[Tuple[str, int]], prompts: Sequence[str]) -> List[str]:
    names = {}
    suites = sorted({suite for suite, _ in keys})
    for suite in suites:
        own = [(key, prompt) for key, prompt in zip(keys, prompts) if key[0] == suite]
        short = task_names([key[1] for key, _ in own], [prompt for _, prompt in own])
        for (key, _), name in zip(own, short):
            text = f"{suite} {name}" if len(suites) > 1 else name
            names[key] = textwrap.fill(text, 36)
    return [names[key] for key in keys]


def plot_latency_histogram(records: Sequence[EpisodeRecord]) -> bytes:
    """How long the answers took: what the client saw, and what the server says of itself.

    Values beyond the 99.5th percentile are counted in the last bin, so that one restart of the
    server does not flatten the rest.

    Args:
        records: Episodes with at least one query.

    Returns:
        A PNG file.
    """
    latency = sorted(ms for record in records for ms in record.latency_ms)
    server = [ms for record in records for ms in record.server_ms]
    limit = latency[min(len(latency) - 1, int(0.995 * len(latency)))]
    edge = max(limit, 1e-3)
    edges = [edge * i / 50 for i in range(51)]
    beyond = sum(ms > edge for ms in latency)

    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    axis = figure.subplots()
    clipped = [min(ms, edge) for ms in latency]
    axis.hist(clipped, edges, color=_COLOURS[0], label="round trip, as the client sees it")
    if server:
        axis.hist(
            [min(ms, edge) for ms in server], edges, histtype="step", linewidth=1.6,
            color=_COLOURS[5], label="server's own time",
        )  # fmt: skip
    median = latency[len(latency) // 2]
    axis.axvline(
        median, color="black", linestyle="--", linewidth=1, label=f"median {median:.1f} ms"
    )
    note = f" (last bin: {beyond} longer ones as well)" if beyond else ""
    axis.set_xlabel("latency, ms" + note)
    axis.set_ylabel("queries")
    axis.set_xlim(0, edge)
    axis.legend(frameon=False)
    return _png(figure)


def plot_latency_timeline(records: Sequence[EpisodeRecord]) -> bytes:
    """Latency of every query, in the order in which the episodes began.

    Episodes whose queries were repeated, since the server had gone away, stand out.

    Args:
        records: Episodes with at least one query.

    Returns:
        A PNG file.
    """
    plain: Tuple[List[int], List[float]] = ([], [])
    interrupted: Tuple[List[int], List[float]] = ([], [])
    query = 0
    for record in sorted(records, key=start_time):
        group = interrupted if record.interruptions else plain
        for ms in record.latency_ms:
            group[0].append(query)
            group[1].append(ms)
            query += 1

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axis = figure.subplots()
    axis.plot(*plain, linestyle="", marker=".", markersize=3, color=_COLOURS[0], label="query")
    if interrupted[0]:
        axis.plot(
            *interrupted, linestyle="", marker="x", markersize=4, color=_COLOURS[5],
            label="query of an episode with interruptions",
        )  # fmt: skip
        figure.legend(loc="outside upper center", ncols=2, frameon=False)
    values = sorted(plain[1] + interrupted[1])
    median = values[len(values) // 2]
    if median > 0 and values[0] > 0 and values[-1] > 10 * median:
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0)
    axis.set_xlabel("query, in the order in which the episodes began")
    axis.set_ylabel("latency, ms")
    axis.grid(color="0.9")
    axis.set_axisbelow(True)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    # No version of matplotlib in the file: same numbers, same bytes.
    figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    return content.getvalue()
