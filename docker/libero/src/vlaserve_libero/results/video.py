"""Videos of episodes: H.264 in MP4, which browsers play."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import TracebackType
from typing import Any, Optional, Type

import numpy as np
import numpy.typing as npt

from vlaserve_libero.records import EpisodeRecord
from vlaserve_libero.results.errors import ResultsError

# File systems allow 255 bytes; this leaves room for the rest of the name.
_MAX_TASK_NAME = 100


def _safe(text: str) -> str:
    """Letters, digits, '.', '_' and '-' only, so that any file system and shell takes it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)


def video_name(record: EpisodeRecord) -> str:
    """The file name of an episode's video: suite, task, episode and outcome."""
    task = _safe(record.task)[:_MAX_TASK_NAME]
    return (
        f"{_safe(record.suite)[:_MAX_TASK_NAME]}-task{record.task_id:02d}-{task}"
        f"-episode{record.episode:03d}-{record.outcome}.mp4"
    )


class VideoWriter:
    """Writes one video; a context manager.

    The file has a temporary name until the end, so that a video under its own name is always
    whole; if the block is left by an exception, nothing stays. Where the name depends on what
    happens (the outcome), call `rename` before the end. Without a single frame no file is made.

    Not thread-safe.
    """

    def __init__(self, path: Path, fps: int = 10):
        """Starts a video.

        Args:
            path: The file to be made; its folder must exist.
            fps: Frames per second.

        Raises:
            ResultsError: PyAV is not installed.
            ValueError: `fps` is below 1.
        """
        if fps < 1:
            raise ValueError(f"fps is {fps}, expected at least 1")
        try:
            import av
        except ImportError as error:
            raise ResultsError("videos need PyAV: pip install 'vlaserve-libero[video]'") from error
        self._av = av
        self.path = path
        self.frames = 0
        self._fps = fps
        # The same for each try of an episode, so that what a killed process left is overwritten.
        self._temporary = path.with_name(f".{path.name}.part")
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> VideoWriter:
        return self

    def rename(self, name: str) -> None:
        """Changes the file name that the video gets at the end; the folder stays."""
        self.path = self.path.with_name(name)

    def add(self, frame: npt.NDArray[np.uint8]) -> None:
        """Appends a picture.

        Args:
            frame: RGB, uint8 [height, width, 3]; every frame has the size of the first.

        Raises:
            ValueError: The frame has another type or shape.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(
                f"expected a frame of uint8 [height, width, 3], found {frame.dtype} {frame.shape}"
            )
        # H.264 with halved colour resolution wants even sides: repeat the last row or column.
        height, width = frame.shape[:2]
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._container is None:
            self._open(even.shape[0], even.shape[1])
        elif (self._stream.height, self._stream.width) != even.shape[:2]:
            raise ValueError(
                f"expected a frame of {self._stream.height} x {self._stream.width} as the first, "
                f"found {height} x {width}"
            )
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        for packet in self._stream.encode(picture):
            self._container.mux(packet)
        self.frames += 1

    def _open(self, height: int, width: int) -> None:
        # "faststart" puts the index first: a browser can play before all is loaded.
        self._container = self._av.open(
            str(self._temporary), "w", format="mp4", options={"movflags": "+faststart"}
        )
        stream = self._container.add_stream("libx264", rate=self._fps)
        stream.height, stream.width = height, width
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "20"}
        # Episodes run side by side, one process each: no further threads.
        stream.codec_context.thread_count = 1
        self._stream = stream

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if self._container is None:
            return
        try:
            if kind is None:
                for packet in self._stream.encode():
                    self._container.mux(packet)
            self._container.close()
            if kind is None:
                with self._temporary.open("rb") as file:
                    os.fsync(file.fileno())
                self._temporary.replace(self.path)
        finally:
            # Still there unless it has got its name.
            if self._temporary.exists():
                self._temporary.unlink()
