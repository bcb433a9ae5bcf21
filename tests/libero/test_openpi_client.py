"""VlaservePolicy in the places of openpi's own client, with openpi's own code around it."""

from __future__ import annotations

import inspect
from typing import Any, Dict, List

import numpy as np
import pytest
from fake_server import ACTION_DIM, HORIZON, FakeServer
from server_process import ServerProcess

from vlaserve_libero import VlaservePolicy, images

pytest.importorskip("openpi_client", reason="openpi-client is not installed")

from openpi_client import image_tools, websocket_client_policy
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.runtime.agents.policy_agent import PolicyAgent
from openpi_client.runtime.environment import Environment
from openpi_client.runtime.runtime import Runtime
from openpi_client.runtime.subscriber import Subscriber

Observation = Dict[str, Any]


def test_the_constructor_takes_openpi_s_arguments() -> None:
    theirs = inspect.signature(websocket_client_policy.WebsocketClientPolicy).parameters
    ours = list(inspect.signature(VlaservePolicy).parameters)
    assert list(theirs) == ours[: len(theirs)]


def test_every_public_method_of_openpi_s_client_is_there() -> None:
    theirs = {
        name: value
        for name, value in inspect.getmembers(websocket_client_policy.WebsocketClientPolicy)
        if inspect.isfunction(value) and not name.startswith("_")
    }
    assert set(theirs) == {"get_server_metadata", "infer", "reset"}
    for name, value in theirs.items():
        parameters = list(inspect.signature(value).parameters)
        ours = list(inspect.signature(getattr(VlaservePolicy, name)).parameters)
        assert ours[: len(parameters)] == parameters


@pytest.mark.parametrize("shape", [(256, 256, 3), (480, 640, 3), (97, 61, 3), (224, 224, 3)])
def test_resize_with_pad_is_openpi_s(shape: Any) -> None:
    picture = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(
        images.resize_with_pad(picture, 224, 224), image_tools.resize_with_pad(picture, 224, 224)
    )


def test_action_chunk_broker_hands_out_one_row_after_the_other(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    with VlaservePolicy(port=fake_server.port) as policy:
        broker = ActionChunkBroker(policy, action_horizon=3)
        rows = [broker.infer(small_observation) for _ in range(4)]
        assert len(fake_server.requests) == 2
        broker.reset()
        broker.infer(small_observation)
    chunk = np.arange(HORIZON * ACTION_DIM, dtype=np.float64).reshape(HORIZON, ACTION_DIM)
    for row, expected in zip(rows, [chunk[0], chunk[1], chunk[2], chunk[0]]):
        np.testing.assert_array_equal(row["actions"], expected)
        assert row["policy_timing"] == {"infer_ms": 7}
    sessions = [request.session_id for request in fake_server.requests]
    assert sessions[0] == sessions[1] != sessions[2]


class StillEnvironment(Environment):  # type: ignore[misc]
    """One frame for ever; keeps what it is told to do."""

    def __init__(self, observation: Observation) -> None:
        self._observation = observation
        self.actions: List[Any] = []
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def is_episode_complete(self) -> bool:
        return len(self.actions) % 12 == 0

    def get_observation(self) -> Observation:
        return self._observation

    def apply_action(self, action: Dict[str, Any]) -> None:
        self.actions.append(action["actions"])


class Steps(Subscriber):  # type: ignore[misc]
    def __init__(self) -> None:
        self.events: List[str] = []

    def on_episode_start(self) -> None:
        self.events.append("start")

    def on_step(self, observation: Observation, action: Dict[str, Any]) -> None:
        self.events.append("step")

    def on_episode_end(self) -> None:
        self.events.append("end")


def test_runtime_runs_episodes_against_a_real_server(
    server: ServerProcess, observation: Observation
) -> None:
    environment, steps = StillEnvironment(observation), Steps()
    with VlaservePolicy(port=server.port) as policy:
        agent = PolicyAgent(ActionChunkBroker(policy, action_horizon=5))
        Runtime(environment, agent, [steps], num_episodes=2).run()
        chunk = policy.infer(observation, seed=1)["actions"]
    assert steps.events == (["start"] + ["step"] * 12 + ["end"]) * 2
    assert environment.resets == 3
    assert all(action.shape == (7,) for action in environment.actions)
    # The same frame with other noise: other numbers, the same intention.
    np.testing.assert_allclose(environment.actions[0][:3], chunk[0, :3], atol=0.5)


def test_the_loop_of_openpi_s_libero_example(
    server: ServerProcess, observation: Observation
) -> None:
    """Resized pictures, a plan of five steps, a list of seven numbers for the simulator."""
    from vlaserve_libero import websocket_client_policy

    client = websocket_client_policy.WebsocketClientPolicy("127.0.0.1", server.port)
    plan: List[Any] = []
    for _ in range(7):
        if not plan:
            picture, wrist = (
                image_tools.convert_to_uint8(
                    image_tools.resize_with_pad(observation[f"observation/{name}"], 224, 224)
                )
                for name in ("image", "wrist_image")
            )
            element = {
                "observation/image": picture,
                "observation/wrist_image": wrist,
                "observation/state": observation["observation/state"],
                "prompt": str(observation["prompt"]),
            }
            chunk = client.infer(element)["actions"]
            assert len(chunk) >= 5
            plan.extend(chunk[:5])
        action = plan.pop(0).tolist()
        assert len(action) == 7
        assert all(isinstance(number, float) for number in action)
    client.close()
