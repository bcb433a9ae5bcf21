"""Camera pictures: from what simulators and openpi's clients have to what goes over the wire."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ._rpc import policy_pb2
from .errors import InvalidRequest

ENCODINGS = ("rgb8", "png")


def to_rgb8(picture: Any, field: str) -> npt.NDArray[np.uint8]:
    """Converts a picture as openpi's policies do.

    Floats become `truncate(255 * x)` in their own precision; a picture whose first of three sizes
    is 3 is channel-first and gets its channels last.

    Args:
        picture: uint8, or floating point within 0..1; [height, width, 3] or [3, height, width].
        field: Name of the picture in error messages.

    Returns:
        uint8 [height, width, 3], contiguous.

    Raises:
        InvalidRequest: Another type or shape, or a float outside 0..1.
    """
    array = np.asarray(picture)
    if array.ndim != 3 or 3 not in (array.shape[0], array.shape[2]) or 0 in array.shape:
        raise InvalidRequest(
            f"{field} has shape {list(array.shape)}, expected [height, width, 3] or "
            "[3, height, width]",
            field=field,
        )
    if np.issubdtype(array.dtype, np.floating):
        # NaN fails this comparison too.
        if not bool(np.all((array >= 0) & (array <= 1))):
            raise InvalidRequest(
                f"{field} has {array.dtype} values outside 0..1; pictures of 0..255 go as uint8",
                field=field,
            )
        array = (array * array.dtype.type(255)).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise InvalidRequest(
            f"{field} has dtype {array.dtype}, expected uint8, or floating point within 0..1",
            field=field,
        )
    if array.shape[0] == 3:
        array = np.transpose(array, (1, 2, 0))
    return np.ascontiguousarray(array)


def encode(picture: npt.NDArray[np.uint8], encoding: str) -> policy_pb2.Image:
    """Makes the message of a picture.

    Args:
        picture: uint8 [height, width, 3].
        encoding: "rgb8" (raw: cheapest on one machine) or "png" (the same pixels, about half the
            bytes, some milliseconds of work on both sides: for slow networks).
    """
    if encoding == "rgb8":
        height, width = picture.shape[:2]
        return policy_pb2.Image(
            encoding=policy_pb2.Image.ENCODING_RGB8,
            data=picture.tobytes(),
            height=height,
            width=width,
        )
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG", compress_level=1)
    return policy_pb2.Image(encoding=policy_pb2.Image.ENCODING_PNG, data=file.getvalue())


def resize_with_pad(
    picture: npt.NDArray[np.uint8], height: int, width: int
) -> npt.NDArray[np.uint8]:
    """Scales a picture to fit, without distortion, and centres it on black.

    The same bytes as openpi's `image_tools.resize_with_pad`: Pillow's antialiased bilinear filter,
    sizes and borders rounded down. A vlaserve server does the same to whatever size it gets, so a
    client needs this only to send fewer bytes.

    Args:
        picture: uint8 [h, w, 3].
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        uint8 [height, width, 3].

    Raises:
        InvalidRequest: The picture is so narrow that nothing of it would be left.
    """
    if picture.shape[:2] == (height, width):
        return picture
    ratio = max(picture.shape[1] / width, picture.shape[0] / height)
    fitted_height, fitted_width = int(picture.shape[0] / ratio), int(picture.shape[1] / ratio)
    if not fitted_height or not fitted_width:
        raise InvalidRequest(
            f"a picture of {picture.shape[0]} x {picture.shape[1]} cannot be scaled to fit "
            f"{height} x {width}: a side would vanish"
        )
    scaled = Image.fromarray(picture).resize(
        (fitted_width, fitted_height), resample=Image.Resampling.BILINEAR
    )
    padded = np.zeros((height, width, 3), np.uint8)
    top, left = (height - fitted_height) // 2, (width - fitted_width) // 2
    padded[top : top + fitted_height, left : left + fitted_width] = np.asarray(scaled)
    return padded
