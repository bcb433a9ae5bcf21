"""Bad input: one clear error each, before anything is sent."""

from __future__ import annotations

from typing import Any, Callable, Dict

import numpy as np
import pytest
from fake_server import HORIZON, FakeServer

from vlaserve_libero import VlaservePolicy
from vlaserve_libero.address import join_address, split_address
from vlaserve_libero.errors import InvalidRequest

Observation = Dict[str, Any]
Change = Callable[[Observation], Any]


def rename(old: str, new: str) -> Change:
    return lambda obs: obs.update({new: obs.pop(old)})


def put(key: str, value: Any) -> Change:
    return lambda obs: obs.update({key: value})


IMAGE, STATE = "observation/image", "observation/state"
OBSERVATIONS = {
    "wrong camera name": (
        rename("observation/wrist_image", "observation/wrist"),
        "has no observation/wrist_image; the policy fake_policy expects observation/image (camera "
        "image), observation/wrist_image (camera wrist_image); it has observation/image, "
        "observation/state, prompt, observation/wrist",
    ),
    "no state": (lambda obs: obs.pop(STATE), "has no observation/state: 8 numbers"),
    "short state": (put(STATE, np.zeros(7)), "shape [7], the policy fake_policy expects [8]"),
    "state of two rows": (put(STATE, np.zeros((1, 8))), "shape [1, 8]"),
    "state of one column": (put(STATE, np.zeros((8, 1))), "shape [8, 1]"),
    "state not finite": (put(STATE, np.full(8, np.nan)), "state has a value that is not finite"),
    "state of words": (put(STATE, ["a"] * 8), "observation/state has dtype <U1"),
    "no prompt": (lambda obs: obs.pop("prompt"), "no prompt, and the policy fake_policy has no"),
    "blank prompt": (put("prompt", " "), "prompt is blank"),
    "prompt of bytes": (put("prompt", b"go"), "prompt is a bytes, expected a text"),
    "grey picture": (put(IMAGE, np.zeros((4, 6), np.uint8)), "observation/image has shape [4, 6]"),
    "picture with alpha": (put(IMAGE, np.zeros((4, 6, 4), np.uint8)), "has shape [4, 6, 4]"),
    "empty picture": (put(IMAGE, np.zeros((0, 6, 3), np.uint8)), "has shape [0, 6, 3]"),
    "integers": (put(IMAGE, np.zeros((4, 6, 3), np.int64)), "observation/image has dtype int64"),
    "floats of 0..255": (put(IMAGE, np.full((4, 6, 3), 200.0)), "outside 0..1"),
    "floats with NaN": (put(IMAGE, np.full((4, 6, 3), np.nan)), "outside 0..1"),
    "too large": (put(IMAGE, np.zeros((513, 6, 3), np.uint8)), "513 x 6, the server takes sides"),
    "too many bytes": (put(IMAGE, np.zeros((512, 512, 3), np.uint8)), "at most 100000"),
}


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_observation(name: str, fake_server: FakeServer, small_observation: Observation) -> None:
    change, message = OBSERVATIONS[name]
    change(small_observation)
    fake_server.info.limits.max_message_bytes = 100_000
    with VlaservePolicy(port=fake_server.port) as policy:
        with pytest.raises(InvalidRequest) as caught:
            policy.infer(small_observation)
    assert message in str(caught.value)
    assert caught.value.field
    assert not fake_server.requests


def test_a_misspelt_optional_camera_is_not_left_out_in_silence(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    fake_server.info.policy.cameras[1].optional = True
    rename("observation/wrist_image", "observation/wrist")(small_observation)
    with VlaservePolicy(port=fake_server.port) as policy:
        with pytest.raises(InvalidRequest, match="camera wrist_image, optional"):
            policy.infer(small_observation)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed is -1, expected an integer of 0..18446744073709551615"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"seed": 1, "noise": np.zeros((HORIZON, 32))}, "seed and noise are both given"),
        ({"noise": np.zeros((HORIZON, 7))}, f"[horizon, model_action_dim] = [{HORIZON}, 32]"),
        ({"noise": np.full((HORIZON, 32), np.inf)}, "noise has a value that is not finite"),
        ({"request_id": "x" * 129}, "request_id is"),
        ({"request_id": "a\nb"}, "without control characters"),
    ],
)
def test_argument_of_infer(
    arguments: Dict[str, Any],
    message: str,
    fake_server: FakeServer,
    small_observation: Observation,
) -> None:
    with VlaservePolicy(port=fake_server.port) as policy:
        with pytest.raises(InvalidRequest) as caught:
            policy.infer(small_observation, **arguments)
    assert message in str(caught.value)
    assert not fake_server.requests


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"api_key": "secret"}, "no authentication"),
        ({"api_key": ""}, "no authentication"),
        ({"host": "ws://127.0.0.1"}, "vlaserve speaks gRPC"),
        ({"host": "localhost", "port": None}, "'localhost', expected HOST:PORT"),
        ({"port": 70000}, "port of 1..65535"),
        ({"deadline_s": 0}, "deadline_s is 0"),
        ({"connect_timeout_s": float("nan")}, "connect_timeout_s is nan"),
        ({"max_observation_age_s": -1}, "max_observation_age_s is -1"),
        ({"image_encoding": "jpeg"}, "image_encoding is 'jpeg', expected rgb8 or png"),
        ({"num_steps": 101}, "num_steps is 101, expected an integer of 1..100"),
        ({"num_steps": 2.5}, "num_steps is 2.5"),
        ({"state_keys": "observation/state"}, "expected a list of keys"),
        ({"session_id": "x" * 101}, "session_id is"),
    ],
)
def test_option(options: Dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        VlaservePolicy(**options)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:1", ("localhost", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("10.0.0.2:80", ("10.0.0.2", 80)),
    ],
)
def test_addresses(text: str, expected: Any) -> None:
    assert split_address(text) == expected
    assert join_address(*expected) == text


@pytest.mark.parametrize(
    "text", ["", "localhost", ":80", "[]:80", "::1:80", "a:b", "a:0", "a:65536", "a:-1"]
)
def test_bad_addresses(text: str) -> None:
    with pytest.raises(InvalidRequest, match="expected HOST:PORT"):
        split_address(text)
