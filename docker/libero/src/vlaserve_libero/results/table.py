"""The table that a run ends with on the terminal."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence

from vlaserve_libero.results.names import task_names

# Longer task names are cut: the table has to fit a terminal.
_NAME_WIDTH = 44


def format_rows(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Aligns columns by spaces, under a header and a rule; "---" as a row's only cell is a rule.

    Args:
        header: The columns' names.
        rows: Cells, as many as the header has.
        left: How many columns are texts, aligned to the left; the others are numbers.
    """
    full = [row for row in rows if len(row) == len(header)]
    widths = [max(len(row[i]) for row in [header, *full]) for i in range(len(header))]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))

    def line(cells: Sequence[str]) -> str:
        aligned = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths))
        ]
        return "  ".join(aligned).rstrip()

    return "\n".join([line(header), rule, *(line(r) if len(r) > 1 else rule for r in rows)])


def shorten(text: str, width: int = _NAME_WIDTH) -> str:
    """Cuts a text that is too long for its column."""
    return text if len(text) <= width else text[: width - 3] + "..."


def percent(value: float) -> str:
    """A fraction of 1 in percent, one digit after the point."""
    return f"{100 * value:.1f} %"


def _cells(name: str, part: Mapping[str, Any]) -> List[str]:
    rate, interval = part["success_rate"], part["success_rate_ci95"]
    steps, latency = part["success_steps"], part["latency_ms"]
    scored = part["successes"] + part["failures"]
    return [
        name,
        f"{part['successes']}/{scored}",
        "-" if rate is None else percent(rate),
        "-" if interval is None else f"{100 * interval[0]:.1f} - {100 * interval[1]:.1f} %",
        "-" if steps is None else f"{steps['p50']:.0f}",
        "-" if latency is None else f"{latency['p50']:.1f}",
        str(part["errors"]),
    ]


def format_table(summary: Mapping[str, Any]) -> str:
    """The summary as a text table: a line per task, per suite if there are several, and in all.

    Args:
        summary: What `summarize` returned.

    Returns:
        Lines without trailing newline: task, successes/episodes, success rate, its 95 % interval,
        median number of steps of the successes, median latency in ms, simulator errors.
    """
    header = ["task", "success", "rate", "95 % interval", "steps", "ms", "errors"]
    groups: Mapping[str, Any] = summary["per_group"]
    rows: List[List[str]] = []
    for suite, group in groups.items():
        tasks = [task for task in summary["per_task"] if task["task_group"] == suite]
        names = task_names([t["task_id"] for t in tasks], [t["prompt"] for t in tasks])
        rows += [_cells(shorten(name), task) for name, task in zip(names, tasks)]
        if len(groups) > 1:
            rows += [["---"], _cells(shorten(suite), group), ["---"]]
    if len(groups) <= 1:
        rows.append(["---"])
    everything = f"all of {next(iter(groups))}" if len(groups) == 1 else "all"
    rows.append(_cells(shorten(everything), summary["overall"]))
    table = format_rows(header, rows)
    interruptions = summary["overall"]["interruptions"]
    if interruptions:
        episodes = summary["overall"]["interrupted_episodes"]
        table += (
            f"\nThe server went away: queries were repeated {interruptions} times, "
            f"in {episodes} episode{'' if episodes == 1 else 's'}."
        )
    return table
