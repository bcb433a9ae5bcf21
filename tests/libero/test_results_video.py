"""Videos: what is in the file, and that no half of one stays."""

from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import numpy as np
import numpy.typing as npt
import pytest
from made_up_records import make_record

from vlaserve_libero.results.errors import ResultsError
from vlaserve_libero.results.video import VideoWriter, video_name

Frame = npt.NDArray[np.uint8]


def frame(height: int = 64, width: int = 96, red: int = 0) -> Frame:
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[..., 0] = red
    return picture


def decode(path: Path) -> Any:
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames: List[Frame] = [f.to_ndarray(format="rgb24") for f in container.decode(stream)]
        return frames, stream.codec_context.name, stream.codec_context.pix_fmt, stream.average_rate


def test_a_video_decodes_to_the_frames_given(tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = tmp_path / "a.mp4"
    with VideoWriter(path, fps=20) as video:
        for i in range(25):
            video.add(frame(red=10 * i))
        assert video.frames == 25
    frames, codec, pixels, rate = decode(path)
    assert (codec, pixels, rate) == ("h264", "yuv420p", 20)
    assert len(frames) == 25
    assert {f.shape for f in frames} == {(64, 96, 3)}
    for i, decoded in enumerate(frames):
        mean = decoded.reshape(-1, 3).mean(axis=0)
        assert mean == pytest.approx([10 * i, 0, 0], abs=6)


def test_the_index_comes_first_so_that_browsers_start_at_once(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with VideoWriter(tmp_path / "a.mp4") as video:
        video.add(frame())
    content = (tmp_path / "a.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_odd_sizes_are_padded_by_one(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with VideoWriter(tmp_path / "a.mp4") as video:
        for _ in range(3):
            video.add(frame(63, 95, red=200))
    frames = decode(tmp_path / "a.mp4")[0]
    assert frames[0].shape == (64, 96, 3)
    assert frames[0][-1, -1, 0] == pytest.approx(200, abs=6)


def test_the_name_can_be_set_at_the_end(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with VideoWriter(tmp_path / "a.mp4") as video:
        video.add(frame())
        video.rename("b.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["b.mp4"]


def test_an_interrupted_video_leaves_no_file(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4") as video:
        # More than the encoder looks ahead.
        for i in range(100):
            video.add(frame(red=i))
        assert len(list(tmp_path.iterdir())) == 1, "it is written as it comes"
        assert not (tmp_path / "a.mp4").exists(), "but not under its name"
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_the_old_video_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "a.mp4") as video:
        video.add(frame())
        raise RuntimeError
    assert (tmp_path / "a.mp4").read_bytes() == b"old"


def test_what_a_killed_process_left_is_overwritten(tmp_path: Path) -> None:
    pytest.importorskip("av")
    code = f"""
import os, pathlib, numpy
from vlaserve_libero.results.video import VideoWriter
video = VideoWriter(pathlib.Path({str(tmp_path)!r}) / "a.mp4")
for i in range(100):
    video.add(numpy.full((64, 96, 3), i, dtype=numpy.uint8))
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    with VideoWriter(tmp_path / "a.mp4") as video:
        video.add(frame())
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_no_frame_no_file(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with VideoWriter(tmp_path / "a.mp4") as video:
        pass
    assert video.frames == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        frame().astype(np.float64),
        frame()[..., 0],
        np.zeros((3, 64, 96), dtype=np.uint8),
        np.zeros((64, 96, 4), dtype=np.uint8),
    ],
    ids=["float", "grey", "CHW", "RGBA"],
)
def test_other_frames_are_refused(tmp_path: Path, wrong: Any) -> None:
    pytest.importorskip("av")
    with pytest.raises(ValueError, match=r"uint8 \[height, width, 3\]"), VideoWriter(
        tmp_path / "a.mp4"
    ) as video:
        video.add(wrong)


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with pytest.raises(ValueError, match="64 x 96 as the first, found 32 x 96"), VideoWriter(
        tmp_path / "a.mp4"
    ) as video:
        video.add(frame())
        video.add(frame(32))
    assert list(tmp_path.iterdir()) == []


def test_fps_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fps is 0"):
        VideoWriter(tmp_path / "a.mp4", fps=0)


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ResultsError, match=r"vlaserve-libero\[video\]"):
        VideoWriter(tmp_path / "a.mp4")


def test_the_name_says_suite_task_episode_and_outcome() -> None:
    record = make_record("failure", task_id=3, episode=12)
    assert video_name(record) == "libero_object-task03-pick_up_the_milk-episode012-failure.mp4"


def test_names_are_safe_and_differ() -> None:
    strange = make_record(
        suite="../my suite", task='a/b\\c:d*e?f"g<h>i|j\x00k\nlü' + "x" * 300, episode=1234
    )
    name = video_name(strange)
    assert len(name.encode()) <= 255
    assert all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    assert not name.startswith("-")
    names = {
        video_name(make_record(o, task_id=t, episode=e))
        for o in ("success", "failure", "error")
        for t in range(3)
        for e in range(3)
    }
    assert len(names) == 27
