"""From an observation with openpi's keys to the request that a policy understands."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence

import numpy as np
import numpy.typing as npt

from . import images
from ._rpc import policy_pb2
from .errors import InvalidRequest
from .policies.base import PROMPT
from .server_info import ServerInfo


def make_request(
    obs: Mapping[str, Any],
    info: ServerInfo,
    *,
    state_keys: Sequence[str],
    image_encoding: str,
) -> policy_pb2.InferRequest:
    """Checks an observation against what the server serves and converts it.

    Args:
        obs: The observation: a picture under each camera's key (`images.to_rgb8` says which), the
            state, and the prompt unless the policy has a default one.
        info: What is served.
        state_keys: Keys whose numbers, one after the other, are the state.
        image_encoding: One of `images.ENCODINGS`.

    Returns:
        The request without seed, noise and names.

    Raises:
        InvalidRequest: Something is missing or does not fit; the message says what was expected.
    """
    request = policy_pb2.InferRequest(state=_state(obs, info, state_keys))
    for name, picture in _pictures(obs, info).items():
        request.images[name].CopyFrom(images.encode(picture, image_encoding))
    prompt = _prompt(obs, info)
    if prompt is not None:
        request.prompt = prompt
    return request


def check_size(request: policy_pb2.InferRequest, info: ServerInfo) -> None:
    """Refuses a request that the server would not read.

    Raises:
        InvalidRequest: It is larger than Limits.max_message_bytes.
    """
    size = request.ByteSize()
    if size > info.max_message_bytes:
        raise InvalidRequest(
            f"the request has {size} bytes, the server reads at most {info.max_message_bytes}: "
            "send smaller pictures or use image_encoding='png'",
            field="images",
        )


def make_noise(noise: Any, info: ServerInfo) -> List[float]:
    """Checks starting noise: finite numbers [horizon, model_action_dim].

    Raises:
        InvalidRequest: Another shape, or something that is not finite.
    """
    array = _numbers(noise, "noise")
    expected = (info.horizon, info.model_action_dim)
    if array.shape != expected:
        raise InvalidRequest(
            f"noise has shape {list(array.shape)}, the policy {info.name} expects "
            f"[horizon, model_action_dim] = {list(expected)}",
            field="noise",
        )
    return [float(x) for x in array.ravel()]


def _pictures(obs: Mapping[str, Any], info: ServerInfo) -> Mapping[str, npt.NDArray[np.uint8]]:
    pictures = {}
    for camera in info.cameras:
        if camera.key not in obs:
            if camera.optional and not _unclaimed_pictures(obs, info):
                continue
            raise InvalidRequest(_missing_camera(camera.key, obs, info), field=camera.key)
        picture = images.to_rgb8(obs[camera.key], camera.key)
        if max(picture.shape[:2]) > info.max_image_side:
            raise InvalidRequest(
                f"{camera.key} is {picture.shape[0]} x {picture.shape[1]}, the server takes sides "
                f"of up to {info.max_image_side}",
                field=camera.key,
            )
        pictures[camera.name] = picture
    return pictures


def _unclaimed_pictures(obs: Mapping[str, Any], info: ServerInfo) -> List[str]:
    """Keys of pictures that no camera takes: an optional camera may be misspelt."""
    keys = {camera.key for camera in info.cameras}
    return [key for key, value in obs.items() if key not in keys and np.ndim(value) == 3]


def _missing_camera(key: str, obs: Mapping[str, Any], info: ServerInfo) -> str:
    expected = ", ".join(
        f"{c.key} (camera {c.name}{', optional' if c.optional else ''})" for c in info.cameras
    )
    given = ", ".join(obs) or "nothing"
    return (
        f"the observation has no {key}; the policy {info.name} expects {expected}; it has {given}"
    )


def _state(obs: Mapping[str, Any], info: ServerInfo, keys: Sequence[str]) -> List[float]:
    parts = []
    for key in keys:
        if key not in obs:
            raise InvalidRequest(
                f"the observation has no {key}: {info.state_dim} numbers, the state; it has "
                f"{', '.join(obs) or 'nothing'}",
                field=key,
            )
        parts.append(np.atleast_1d(_numbers(obs[key], key)))
    names = " + ".join(keys)
    shapes = " + ".join(str(list(part.shape)) for part in parts)
    if any(part.ndim != 1 for part in parts) or sum(map(len, parts)) != info.state_dim:
        raise InvalidRequest(
            f"{names} has shape {shapes}, the policy {info.name} expects [{info.state_dim}]",
            field=keys[0],
        )
    return [float(x) for x in np.concatenate(parts)]


def _numbers(value: Any, field: str) -> npt.NDArray[np.float64]:
    array = np.asarray(value)
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise InvalidRequest(f"{field} has dtype {array.dtype}, expected numbers", field=field)
    array = array.astype(np.float64)
    if not bool(np.all(np.isfinite(array))):
        raise InvalidRequest(f"{field} has a value that is not finite", field=field)
    return array


def _prompt(obs: Mapping[str, Any], info: ServerInfo) -> Optional[str]:
    prompt = obs.get(PROMPT)
    if prompt is None:
        if info.default_prompt is None:
            raise InvalidRequest(
                f"the observation has no {PROMPT}, and the policy {info.name} has no default one",
                field=PROMPT,
            )
        return None
    if isinstance(prompt, np.ndarray) and prompt.ndim == 0:
        prompt = prompt.item()
    if not isinstance(prompt, str):
        raise InvalidRequest(
            f"{PROMPT} is a {type(prompt).__name__}, expected a text", field=PROMPT
        )
    if not prompt.strip():
        raise InvalidRequest(f"{PROMPT} is blank", field=PROMPT)
    return str(prompt)
