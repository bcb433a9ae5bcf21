"""What VlaservePolicy sends, and what it makes of the answers."""

from __future__ import annotations

import io
import logging
from typing import Any, Dict

import numpy as np
import pytest
from fake_server import ACTION_DIM, HORIZON, FakeServer
from PIL import Image

from vlaserve_libero import VlaservePolicy
from vlaserve_libero._rpc import policy_pb2

Observation = Dict[str, Any]


def test_observation_keys_become_camera_names(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    cameras = fake_server.info.policy.cameras
    cameras[0].name, cameras[1].name = "front", "wrist"
    with VlaservePolicy(port=fake_server.port) as policy:
        policy.infer(small_observation)
    (request,) = fake_server.requests
    assert set(request.images) == {"front", "wrist"}
    assert request.images["wrist"].data == bytes([7] * (4 * 6 * 3))
    assert (request.images["front"].height, request.images["front"].width) == (4, 6)
    assert list(request.state) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert request.prompt == "pick up the milk"
    assert not request.HasField("seed") and not request.HasField("num_steps")


def test_a_camera_without_openpi_key_is_found_by_its_name(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    fake_server.info.policy.cameras[0].observation_key = ""
    small_observation["image"] = small_observation.pop("observation/image")
    with VlaservePolicy(port=fake_server.port) as policy:
        policy.infer(small_observation)
    assert set(fake_server.requests[0].images) == {"image", "wrist_image"}


def test_an_optional_camera_may_be_left_out(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    fake_server.info.policy.cameras[1].optional = True
    del small_observation["observation/wrist_image"]
    with VlaservePolicy(port=fake_server.port) as policy:
        policy.infer(small_observation)
    assert set(fake_server.requests[0].images) == {"image"}


def test_the_answer_has_openpi_s_keys(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    with VlaservePolicy(port=fake_server.port) as policy:
        result = policy.infer(small_observation, seed=2**64 - 1)
    expected = np.arange(HORIZON * ACTION_DIM, dtype=np.float64).reshape(HORIZON, ACTION_DIM)
    np.testing.assert_array_equal(result["actions"], expected)
    assert result["actions"].dtype == np.float64
    assert result["actions"].flags.writeable
    assert result["policy_timing"] == {"infer_ms": 7}
    assert result["server_timing"]["infer_ms"] == 14
    assert result["server_timing"]["queue_ms"] == 1
    assert result["server_timing"]["total_ms"] == 15
    assert result["seed"] == fake_server.requests[0].seed == 2**64 - 1
    assert result["request_id"] == fake_server.requests[0].request_id


def test_noise_goes_in_place_of_a_seed(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    noise = np.linspace(-1, 1, HORIZON * 32, dtype=np.float32).reshape(HORIZON, 32)
    with VlaservePolicy(port=fake_server.port, num_steps=3) as policy:
        result = policy.infer(small_observation, noise=noise)
    np.testing.assert_array_equal(
        np.array(fake_server.requests[0].noise, np.float32), noise.ravel()
    )
    assert fake_server.requests[0].num_steps == 3
    assert result["seed"] is None


def test_a_reset_starts_a_new_session(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    with VlaservePolicy(port=fake_server.port, session_id="robot") as policy:
        policy.infer(small_observation)
        policy.infer(small_observation)
        policy.reset()
        policy.infer(small_observation, request_id="mine")
    names = [(r.session_id, r.sequence, r.request_id) for r in fake_server.requests]
    assert names == [
        ("robot.1", 1, "robot.1.1"),
        ("robot.1", 2, "robot.1.2"),
        ("robot.2", 1, "mine"),
    ]


def test_two_policies_are_two_sessions(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    for _ in range(2):
        with VlaservePolicy(port=fake_server.port) as policy:
            policy.infer(small_observation)
    assert fake_server.requests[0].session_id != fake_server.requests[1].session_id


def test_png_has_the_same_pixels(fake_server: FakeServer, small_observation: Observation) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (5, 9, 3), dtype=np.uint8)
    small_observation["observation/image"] = picture
    with VlaservePolicy(port=fake_server.port, image_encoding="png") as policy:
        policy.infer(small_observation)
    image = fake_server.requests[0].images["image"]
    assert image.encoding == policy_pb2.Image.ENCODING_PNG
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(image.data))), picture)


def test_a_rotated_view_is_sent_in_its_own_order(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    small_observation["observation/image"] = picture[::-1, ::-1]
    with VlaservePolicy(port=fake_server.port) as policy:
        policy.infer(small_observation)
    sent = np.frombuffer(fake_server.requests[0].images["image"].data, np.uint8)
    np.testing.assert_array_equal(sent.reshape(4, 6, 3), picture[::-1, ::-1])


def test_a_state_of_several_keys(fake_server: FakeServer, small_observation: Observation) -> None:
    small_observation["joints"] = np.arange(7, dtype=np.float32)
    small_observation["gripper"] = 0.5
    with VlaservePolicy(port=fake_server.port, state_keys=("joints", "gripper")) as policy:
        policy.infer(small_observation)
    assert list(fake_server.requests[0].state) == [0, 1, 2, 3, 4, 5, 6, 0.5]


def test_without_a_prompt_the_default_one_is_used(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    fake_server.info.policy.default_prompt = "tidy up"
    del small_observation["prompt"]
    with VlaservePolicy(port=fake_server.port) as policy:
        policy.infer(small_observation)
    assert not fake_server.requests[0].HasField("prompt")


def test_a_truncated_prompt_is_warned_of_once(
    fake_server: FakeServer, small_observation: Observation, caplog: pytest.LogCaptureFixture
) -> None:
    def truncate(response: policy_pb2.InferResponse) -> None:
        response.prompt_truncated = True

    fake_server.edit = truncate
    with VlaservePolicy(port=fake_server.port) as policy, caplog.at_level(logging.WARNING):
        assert policy.infer(small_observation)["prompt_truncated"]
        policy.infer(small_observation)
    (record,) = caplog.records
    assert "48 tokens" in record.getMessage()


def test_metadata_has_the_policy_s_notes_and_the_server_s_info(fake_server: FakeServer) -> None:
    with VlaservePolicy(port=fake_server.port) as policy:
        metadata = policy.get_server_metadata()
    assert metadata["reset_pose"] == [0, 1]
    assert metadata["vlaserve"]["archive_sha256"] == "ab" * 32
    assert metadata["vlaserve"]["quantization"]["engine"] == "off"


@pytest.mark.parametrize("given", ["host:port", "host and port", "keywords"])
def test_openpi_s_ways_to_name_a_server(fake_server: FakeServer, given: str) -> None:
    if given == "host:port":
        policy = VlaservePolicy(fake_server.address, None)
    elif given == "host and port":
        policy = VlaservePolicy("127.0.0.1", fake_server.port)
    else:
        policy = VlaservePolicy(host="0.0.0.0", port=fake_server.port, api_key=None)
    with policy:
        assert policy.info.name == "fake_policy"
