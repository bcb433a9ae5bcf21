"""Pictures: that they are there, have something on them, and follow the numbers."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, List

import numpy as np
import numpy.typing as npt
import pytest
from made_up_records import make_folder, make_record, make_run
from PIL import Image

from vlaserve_libero.records import EpisodeRecord
from vlaserve_libero.results.errors import ResultsError
from vlaserve_libero.results.pictures import parse_run, plot_folders
from vlaserve_libero.results.summary import summarize

pytest.importorskip("matplotlib")

from vlaserve_libero.results.plots import (
    Panel,
    plot_run,
    plot_success,
    series_of_run,
)

BLUE = (0x00, 0x72, 0xB2)
ORANGE = (0xE6, 0x9F, 0x00)


def pixels(png: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def area(png: bytes, colour: Any) -> int:
    """How many pixels have the colour."""
    return int((pixels(png) == np.array(colour, dtype=np.uint8)).all(axis=-1).sum())


def episodes(successes: int, failures: int, task_id: int = 0) -> List[EpisodeRecord]:
    names = ["success"] * successes + ["failure"] * failures
    return [
        make_record(name, task_id=task_id, episode=i, latency_ms=[20.0 + i, 21.0])
        for i, name in enumerate(names)
    ]


def success_picture(*runs: List[EpisodeRecord]) -> bytes:
    # A single run has no legend, whose colours would count as bars.
    labels = [f"run {i}" for i in range(len(runs))] if len(runs) > 1 else [""]
    series = [series_of_run(n, summarize(r, make_run())) for n, r in zip(labels, runs)]
    return plot_success([Panel("", series)])


def test_a_run_gets_its_three_pictures() -> None:
    records = episodes(3, 1)
    pictures = plot_run(summarize(records, make_run()), records)
    assert set(pictures) == {"success.png", "latency_histogram.png", "latency_timeline.png"}
    for png in pictures.values():
        height, width = pixels(png).shape[:2]
        assert height > 200
        assert width > 600
        assert area(png, BLUE) > 20


def test_the_same_numbers_give_the_same_bytes() -> None:
    records = episodes(3, 1)
    summary = summarize(records, make_run())
    assert plot_run(summary, records) == plot_run(summary, records)


def test_without_queries_there_is_no_latency_picture() -> None:
    records = [make_record(latency_ms=[], server_ms=[], queries=0)]
    assert set(plot_run(summarize(records, make_run()), records)) == {"success.png"}
    assert plot_run(summarize([], make_run()), []) == {}


def test_bars_are_as_long_as_the_rates() -> None:
    half, all_of_them = (area(success_picture(episodes(s, 10 - s)), BLUE) for s in (5, 10))
    assert half == pytest.approx(all_of_them / 2, rel=0.1)
    assert area(success_picture(episodes(0, 10)), BLUE) == 0


def test_runs_have_their_own_colours() -> None:
    png = success_picture(episodes(10, 0), episodes(5, 5))
    assert area(png, BLUE) == pytest.approx(2 * area(png, ORANGE), rel=0.15)


def test_a_panel_per_condition_stands_beside_the_other() -> None:
    series = [series_of_run("x", summarize(episodes(4, 4), make_run()))]
    one = pixels(plot_success([Panel("stock", series)]))
    two = pixels(plot_success([Panel("stock", series), Panel("shifted", series)]))
    assert two.shape[1] > 1.5 * one.shape[1]
    assert two.shape[0] == one.shape[0]


def test_a_task_with_errors_only_has_no_bar() -> None:
    two_bars = success_picture([*episodes(2, 0), make_record("error", task_id=1)])
    three_bars = success_picture([*episodes(2, 0), *episodes(1, 0, task_id=1)])
    assert area(two_bars, BLUE) == pytest.approx(2 / 3 * area(three_bars, BLUE), rel=0.1)


def test_a_restart_of_the_server_stands_out_and_hides_nothing() -> None:
    records = episodes(4, 0)
    spread = [20 + i % 20 for i in range(300)]
    slow = make_record(episode=9, latency_ms=[9000.0, *spread], queries=301, interruptions=1)
    pictures = plot_run(summarize([*records, slow], make_run()), [*records, slow])
    assert area(pictures["latency_timeline.png"], (0xD5, 0x5E, 0x00)) > 20
    # On a scale up to 9000 ms all of the others would be in one narrow bin.
    assert area(pictures["latency_histogram.png"], BLUE) > 50_000


@pytest.mark.filterwarnings("error")
def test_latencies_of_zero_can_be_drawn() -> None:
    records = [make_record(latency_ms=[0.0, 0.0], server_ms=[0.0])]
    assert len(plot_run(summarize(records, make_run()), records)) == 3


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ResultsError, match="nothing to draw"):
        plot_success([Panel("", [])])


def test_more_runs_than_colours_are_refused() -> None:
    with pytest.raises(ResultsError, match="7 runs"):
        success_picture(*[episodes(1, 1)] * 7)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vlaserve_libero.results.plots")
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    with pytest.raises(ResultsError, match=r"vlaserve-libero\[plots\]"):
        import vlaserve_libero.results.plots  # noqa: F401


def test_folders_become_panels(tmp_path: Path) -> None:
    runs = [
        parse_run(f"{label}={make_folder(tmp_path / label, episodes(wins, 10 - wins))}")
        for label, wins in (("float32", 10), ("w4a8", 5))
    ]
    png = plot_folders([("stock", runs), ("shifted", runs)])
    assert area(png, BLUE) == pytest.approx(2 * area(png, ORANGE), rel=0.15)
    # The labels are on it.
    named = [(f"other {label}", folder) for label, folder in runs]
    assert plot_folders([("stock", named), ("shifted", named)]) != png


def test_panels_of_other_runs_are_refused(tmp_path: Path) -> None:
    a, b = ("a", tmp_path / "a"), ("b", tmp_path / "b")
    with pytest.raises(ResultsError, match="panel shifted: runs b; expected a as in panel stock"):
        plot_folders([("stock", [a]), ("shifted", [b])])


@pytest.mark.parametrize("text", ["folder", "=folder", "label="])
def test_a_run_needs_label_and_folder(text: str) -> None:
    with pytest.raises(ResultsError, match="expected LABEL=FOLDER"):
        parse_run(text)
