"""Checks of what a caller sets: one clear error for each option."""

from __future__ import annotations

import math
import numbers
from typing import Any, Optional, Sequence

from .errors import InvalidRequest
from .images import ENCODINGS

MAX_ID_BYTES = 128  # of the names that a request carries
_MAX_SEED = 2**64 - 1
_MAX_STEPS = 100


def check_options(
    *,
    api_key: Optional[str],
    deadline_s: float,
    connect_timeout_s: float,
    max_observation_age_s: float,
    image_encoding: str,
    num_steps: Optional[int],
    state_keys: Sequence[str],
) -> None:
    """Checks the arguments of `VlaservePolicy`, which documents them.

    Raises:
        InvalidRequest: One is wrong; the message names it.
    """
    if api_key is not None:
        raise InvalidRequest(
            "api_key is given, but a vlaserve server has no authentication and would not check it: "
            "leave it out, and keep the server on a trusted network",
            field="api_key",
        )
    for name, seconds in (("deadline_s", deadline_s), ("connect_timeout_s", connect_timeout_s)):
        if not 0 < seconds < math.inf:
            raise InvalidRequest(f"{name} is {seconds}, expected seconds above 0", field=name)
    if not 0 <= max_observation_age_s < math.inf:
        raise InvalidRequest(
            f"max_observation_age_s is {max_observation_age_s}, expected 0 or more seconds",
            field="max_observation_age_s",
        )
    if image_encoding not in ENCODINGS:
        raise InvalidRequest(
            f"image_encoding is {image_encoding!r}, expected {' or '.join(ENCODINGS)}",
            field="image_encoding",
        )
    if num_steps is not None:
        _check_integer(num_steps, "num_steps", 1, _MAX_STEPS)
    if isinstance(state_keys, str) or not state_keys:
        raise InvalidRequest(
            f"state_keys is {state_keys!r}, expected a list of keys", field="state_keys"
        )


def check_seed(seed: Any) -> int:
    """Checks the seed of a request: 0..2^64-1."""
    return _check_integer(seed, "seed", 0, _MAX_SEED)


def check_id(text: str, name: str, max_bytes: int) -> str:
    """Checks a name that the server logs: at most `max_bytes`, no control characters."""
    if len(text.encode()) > max_bytes or any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise InvalidRequest(
            f"{name} is {text!r}, expected at most {max_bytes} bytes without control characters",
            field=name,
        )
    return text


def _check_integer(value: Any, name: str, low: int, high: int) -> int:
    if not isinstance(value, numbers.Integral) or not low <= int(value) <= high:
        raise InvalidRequest(
            f"{name} is {value!r}, expected an integer of {low}..{high}", field=name
        )
    return int(value)
