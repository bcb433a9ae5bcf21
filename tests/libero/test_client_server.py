"""VlaservePolicy and a real vlaserve process with the demo policy."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
from conftest import DEMO_POLICY
from golden import read_safetensors
from server_process import ServerProcess, export_archive

from vlaserve_libero import VlaservePolicy, images
from vlaserve_libero.errors import (
    DeadlineExceeded,
    InvalidRequest,
    PolicyChanged,
    ServerUnavailable,
)

Observation = Dict[str, Any]
CASES = json.loads((DEMO_POLICY / "cases.json").read_text())["cases"]


@pytest.fixture(scope="module")
def case_tensors() -> Dict[str, Any]:
    return read_safetensors(DEMO_POLICY / "cases.safetensors")


@pytest.mark.parametrize("case", CASES[:4], ids=lambda case: case["name"])
def test_golden_case(
    case: Dict[str, Any], case_tensors: Dict[str, Any], server: ServerProcess
) -> None:
    """openpi's own answers, within what float32 allows."""
    prefix = f"case{case['index']}."
    obs = {
        key: case_tensors[prefix + key]
        for key in ("observation/image", "observation/wrist_image", "observation/state")
    }
    with VlaservePolicy(port=server.port, num_steps=case["num_steps"]) as policy:
        result = policy.infer(
            {**obs, "prompt": case["prompt"]}, noise=case_tensors[prefix + "noise"]
        )
    np.testing.assert_allclose(
        result["actions"], case_tensors[prefix + "actions"], rtol=0, atol=1e-5
    )


def test_the_info_is_the_demo_policy_s(server: ServerProcess) -> None:
    with VlaservePolicy(port=server.port) as policy:
        info = policy.info
        metadata = policy.get_server_metadata()
    assert (info.name, info.type) == ("demo_libero_object", "pi0")
    assert [camera.key for camera in info.cameras] == [
        "observation/image",
        "observation/wrist_image",
    ]
    assert (info.horizon, info.action_dim, info.state_dim) == (16, 7, 8)
    assert metadata["replan_steps"] == 5
    assert json.loads(json.dumps(metadata))["vlaserve"]["archive_sha256"] == info.archive_sha256


def test_the_reported_seed_repeats_the_chunk(
    server: ServerProcess, observation: Observation
) -> None:
    with VlaservePolicy(port=server.port) as policy:
        first = policy.infer(observation)
        same = policy.infer(observation, seed=first["seed"])
        other = policy.infer(observation, seed=first["seed"] ^ 1)
    np.testing.assert_array_equal(same["actions"], first["actions"])
    assert np.abs(other["actions"] - first["actions"]).max() > 0


def test_every_way_to_send_a_picture_gives_the_same_actions(
    server: ServerProcess, observation: Observation
) -> None:
    def changed(change: Any) -> Observation:
        return {
            key: change(value) if key.endswith("image") else value
            for key, value in observation.items()
        }

    with VlaservePolicy(port=server.port) as policy:
        expected = policy.infer(observation, seed=7)["actions"]
        channel_first = policy.infer(changed(lambda p: np.transpose(p, (2, 0, 1))), seed=7)
        # A quarter of a step up, which truncation takes away again.
        floats = policy.infer(changed(lambda p: np.minimum((p + 0.25) / 255.0, 1.0)), seed=7)
        resized = policy.infer(changed(lambda p: images.resize_with_pad(p, 224, 224)), seed=7)
    with VlaservePolicy(port=server.port, image_encoding="png") as policy:
        png = policy.infer(observation, seed=7)
    for result in (channel_first, floats, resized, png):
        np.testing.assert_array_equal(result["actions"], expected)


def test_a_refusal_of_the_server_names_the_field(
    server: ServerProcess, observation: Observation
) -> None:
    with VlaservePolicy(port=server.port) as policy:
        with pytest.raises(InvalidRequest) as caught:
            policy.infer({**observation, "prompt": "x" * 100_000})
    assert caught.value.field == "prompt"
    assert caught.value.code == "INVALID_ARGUMENT"


def test_a_server_that_was_killed_is_unavailable_and_found_again(
    own_server: ServerProcess, observation: Observation
) -> None:
    with VlaservePolicy(port=own_server.port) as policy:
        expected = policy.infer(observation, seed=7)["actions"]
        own_server.kill()
        with pytest.raises(ServerUnavailable):
            policy.infer(observation, seed=7)
        own_server.restart(wait=False)
        assert policy.wait_ready(60) == policy.info
        np.testing.assert_array_equal(policy.infer(observation, seed=7)["actions"], expected)
        assert policy.interruptions == 0


def test_a_simulation_waits_for_a_restart(
    own_server: ServerProcess, observation: Observation
) -> None:
    with VlaservePolicy(port=own_server.port, max_observation_age_s=60) as policy:
        expected = policy.infer(observation, seed=7)["actions"]
        own_server.kill()
        timer = threading.Timer(1.0, own_server.restart, kwargs={"wait": False})
        timer.start()
        result = policy.infer(observation, seed=7)
        timer.join()
        np.testing.assert_array_equal(result["actions"], expected)
        assert policy.last_interruptions >= 1


def test_killed_in_the_middle_of_an_inference(
    own_server: ServerProcess, observation: Observation
) -> None:
    def kill_and_restart() -> None:
        own_server.kill()
        own_server.restart(wait=False)

    # 100 denoise steps take long enough to be interrupted.
    policy = VlaservePolicy(port=own_server.port, num_steps=100, max_observation_age_s=60)
    with policy:
        expected = policy.infer(observation, seed=7)["actions"]
        timer = threading.Timer(0.2, kill_and_restart)
        timer.start()
        result = policy.infer(observation, seed=7)
        timer.join()
    np.testing.assert_array_equal(result["actions"], expected)
    assert policy.last_interruptions >= 1


def test_a_drained_server_finishes_what_it_accepted(
    own_server: ServerProcess, observation: Observation
) -> None:
    with VlaservePolicy(port=own_server.port, num_steps=100) as policy:
        timer = threading.Timer(0.2, own_server.stop)
        timer.start()
        assert policy.infer(observation)["actions"].shape == (16, 7)
        timer.join()
        with pytest.raises(ServerUnavailable):
            policy.infer(observation)


def test_a_silent_server_costs_a_deadline(
    own_server: ServerProcess, observation: Observation
) -> None:
    with VlaservePolicy(port=own_server.port, deadline_s=0.5) as policy:
        own_server.freeze()
        with pytest.raises(DeadlineExceeded):
            policy.infer(observation)
        own_server.thaw()
    with VlaservePolicy(port=own_server.port) as policy:
        assert policy.infer(observation)["actions"].shape == (16, 7)


def test_a_restart_with_other_weights_is_an_error(
    own_server: ServerProcess, vlaserve_binary: Path, observation: Observation, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "other"
    shutil.copytree(DEMO_POLICY, checkpoint)
    weights = checkpoint / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1  # the lowest bits of the last weight
    weights.write_bytes(content)
    archive = export_archive(vlaserve_binary, checkpoint, tmp_path / "other.pt")
    with VlaservePolicy(port=own_server.port, max_observation_age_s=60) as policy:
        policy.infer(observation)
        own_server.stop()
        own_server.restart(archive=archive)
        with pytest.raises(PolicyChanged, match="archive_sha256"):
            policy.infer(observation)


def test_a_restart_with_other_arithmetic_is_an_error(
    own_server: ServerProcess, observation: Observation, tmp_path: Path
) -> None:
    with VlaservePolicy(port=own_server.port) as policy:
        own_server.stop()
        own_server.restart(
            settings=["quant.preset=best_w4a8", f"pack_cache.dir={tmp_path / 'packs'}"]
        )
        with pytest.raises(PolicyChanged, match="'engine': 'off'.*'engine': 'int'"):
            policy.infer(observation)
