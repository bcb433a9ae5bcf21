"""Pictures become what openpi's policies make of them, byte for byte."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict

import numpy as np
import pytest
from golden import TRANSFORMS, read_safetensors

from vlaserve_libero import images
from vlaserve_libero.errors import InvalidRequest

PARSE_CASES = json.loads((TRANSFORMS / "image_parse.json").read_text())["cases"]
RESIZE_CASES = json.loads((TRANSFORMS / "resize.json").read_text())["cases"]


@pytest.mark.parametrize("case", PARSE_CASES, ids=lambda case: case["name"])
def test_conversion(case: Dict[str, Any]) -> None:
    picture = np.array(case["input"], case["dtype"]).reshape(case["shape"])
    result = images.to_rgb8(picture, "picture")
    assert list(result.shape) == case["output_shape"]
    assert result.ravel().tolist() == case["output"]
    assert result.flags.c_contiguous


def pattern(name: str, height: int, width: int) -> Any:
    """The pictures that resize.json describes: uint8 [height, width, 3]."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    y, x, c = (array.astype(np.uint64) for array in (y, x, c))
    if name == "linear":
        return ((7 * x + 13 * y + 29 * c + x * y // 5) % 256).astype(np.uint8)
    if name == "checker":
        return (255 * ((x // 3 + y // 2 + c) % 2)).astype(np.uint8)
    assert name == "hashed"
    v = ((x * 73856093) ^ (y * 19349663) ^ (c * 83492791)) % 2**32
    return ((v * 2654435761 % 2**32) >> 24).astype(np.uint8)


def resize_name(case: Dict[str, Any]) -> str:
    return f"{case['pattern']}-{case['height']}x{case['width']}"


@pytest.mark.parametrize(
    "case", [case for case in RESIZE_CASES if "output_sha256" in case], ids=resize_name
)
def test_resize_with_pad(case: Dict[str, Any]) -> None:
    picture = pattern(case["pattern"], case["height"], case["width"])
    assert hashlib.sha256(picture.tobytes()).hexdigest() == case["input_sha256"]
    if case.get("rotate180_first"):
        picture = np.ascontiguousarray(picture[::-1, ::-1])
    result = images.resize_with_pad(picture, 224, 224)
    # Reduced to a line, a picture depends on Pillow's release (11.2 and 13.0 differ by one step).
    line = max(picture.shape[:2]) > 112 * min(picture.shape[:2])
    for y, x, *expected in case["samples_y_x_rgb"]:
        np.testing.assert_allclose(result[y, x].astype(int), expected, rtol=0, atol=int(line))
    assert line or hashlib.sha256(result.tobytes()).hexdigest() == case["output_sha256"]


@pytest.mark.parametrize(
    "case", [case for case in RESIZE_CASES if "error" in case], ids=resize_name
)
def test_a_picture_too_narrow_to_resize(case: Dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"cannot be scaled to fit 224 x 224"):
        images.resize_with_pad(pattern(case["pattern"], case["height"], case["width"]), 224, 224)


def test_resize_with_pad_of_a_whole_picture() -> None:
    expected = read_safetensors(TRANSFORMS / "resize.safetensors")["resize.hashed.97x61"]
    result = images.resize_with_pad(pattern("hashed", 97, 61), 224, 224)
    np.testing.assert_array_equal(result, expected)
