"""One picture of many runs, for a README or a report."""

from __future__ import annotations

from pathlib import Path
from typing import List, Sequence, Tuple

from vlaserve_libero.results.errors import ResultsError
from vlaserve_libero.results.files import read_records, read_run
from vlaserve_libero.results.summary import summarize


def parse_run(text: str) -> Tuple[str, Path]:
    """A run as it is named on a command line: "LABEL=FOLDER".

    Raises:
        ResultsError: The text has another form.
    """
    label, equals, folder = text.partition("=")
    if not equals or not label or not folder:
        raise ResultsError(f"{text}: expected LABEL=FOLDER")
    return label, Path(folder)


def plot_folders(panels: Sequence[Tuple[str, Sequence[Tuple[str, Path]]]]) -> bytes:
    """Success per task of many runs: a panel per condition, a colour per label.

    Args:
        panels: Per panel its title and its runs, each with label and results folder; the same
            labels in the same order in each panel.

    Returns:
        A PNG file.

    Raises:
        ResultsError: A folder cannot be read, the panels have other labels, matplotlib is not
            installed, or there is nothing to draw.
    """
    # Imported here, since drawing is an extra.
    from vlaserve_libero.results.plots import Panel, plot_success, series_of_run

    labels = [[label for label, _ in runs] for _, runs in panels]
    for (title, _), own in zip(panels, labels):
        if own != labels[0]:
            raise ResultsError(
                f"panel {title}: runs {', '.join(own)}; expected {', '.join(labels[0])} as in "
                f"panel {panels[0][0]}"
            )
    drawn: List[Panel] = []
    for title, runs in panels:
        series = [
            series_of_run(label, summarize(read_records(folder), read_run(folder)))
            for label, folder in runs
        ]
        drawn.append(Panel(title, series))
    return plot_success(drawn)
