"""Reads the reference data of the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import numpy as np
from server_process import REPOSITORY

TRANSFORMS = REPOSITORY / "tests" / "golden" / "transforms"
_DTYPES = {"U8": "<u1", "I32": "<i4", "I64": "<i8", "BOOL": "?", "F32": "<f4", "F64": "<f8"}


def read_safetensors(path: Path) -> Dict[str, Any]:
    """The tensors of a safetensors file, by name: 8 bytes of header size, JSON header, data."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        first, last = (end + offset for offset in entry["data_offsets"])
        array = np.frombuffer(content[first:last], _DTYPES[entry["dtype"]])
        tensors[name] = array.reshape(entry["shape"])
    return tensors
