"""What is not the expected server: one clear error each, and no action."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from typing import Any, Callable, Dict, Iterator

import grpc
import pytest
from fake_server import FakeServer, Refusal, State

from vlaserve_libero import VlaservePolicy
from vlaserve_libero._rpc import policy_pb2
from vlaserve_libero.errors import (
    InvalidRequest,
    InvalidResponse,
    ProtocolMismatch,
    ServerError,
    ServerUnavailable,
    Superseded,
    VlaserveError,
)

Observation = Dict[str, Any]
Response = policy_pb2.InferResponse


def test_nobody_listens(free_port: Callable[[], int]) -> None:
    port = free_port()
    start = time.monotonic()
    with pytest.raises(ServerUnavailable) as caught:
        VlaservePolicy(port=port, connect_timeout_s=1.2)
    assert time.monotonic() - start < 5
    message = str(caught.value)
    assert f"127.0.0.1:{port} was not ready within 1.2 s" in message
    assert "refused" in message


@pytest.fixture
def web_server() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.05,))
        thread.start()
        yield web.server_address[1]
        web.shutdown()
        thread.join(10)


def test_a_web_server(web_server: int) -> None:
    with pytest.raises(ServerUnavailable, match="was not ready within 1 s"):
        VlaservePolicy(port=web_server, connect_timeout_s=1)


class SlowLink:
    """Forwards a connection, which takes `delay_s` before anything comes through."""

    def __init__(self, port: int, delay_s: float) -> None:
        self._target = port
        self._delay_s = delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:  # closed
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        time.sleep(self._delay_s)
        try:
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:  # the server has gone
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                target.sendall(data)
        except OSError:  # either side left
            pass
        finally:
            source.close()
            target.close()


def test_a_slow_link_is_no_missing_server(fake_server: FakeServer) -> None:
    link = SlowLink(fake_server.port, delay_s=1.5)
    with VlaservePolicy(port=link.port, connect_timeout_s=15) as policy:
        assert policy.info.name == "fake_policy"
    link.close()


def test_no_health_service() -> None:
    with FakeServer(health=False) as server:
        with pytest.raises(ProtocolMismatch, match="does not offer grpc.health.v1.Health"):
            VlaservePolicy(port=server.port)


def test_another_grpc_server() -> None:
    with FakeServer(policy=False) as server:
        with pytest.raises(ProtocolMismatch, match="does not offer vlaserve.v1.PolicyService"):
            VlaservePolicy(port=server.port)


def test_another_version_of_the_contract() -> None:
    with FakeServer(package="v2") as server:
        with pytest.raises(ProtocolMismatch, match="or one of another version"):
            VlaservePolicy(port=server.port)


@pytest.mark.parametrize(
    "name", ["state_dim", "horizon", "action_dim", "archive_sha256", "cameras"]
)
def test_a_description_without_a_field(fake_server: FakeServer, name: str) -> None:
    fake_server.info.policy.ClearField(name)
    with pytest.raises(ProtocolMismatch) as caught:
        VlaservePolicy(port=fake_server.port)
    assert f"version 1.2.3) has no policy.{name}" in str(caught.value)


@pytest.mark.parametrize("notes", ["{", "[1]"])
def test_notes_that_are_no_object(fake_server: FakeServer, notes: str) -> None:
    fake_server.info.policy.client_json = notes
    with pytest.raises(ProtocolMismatch, match="policy.client_json is no JSON"):
        VlaservePolicy(port=fake_server.port)


@pytest.mark.parametrize(
    ("state", "serving", "message"),
    [
        (State.STATE_LOADING, False, "the policy is still being loaded"),
        (State.STATE_DRAINING, False, "the server is going away"),
        (State.STATE_SERVING, False, "its health is not SERVING"),
    ],
)
def test_not_ready_in_time(
    fake_server: FakeServer, state: State.State, serving: bool, message: str
) -> None:
    fake_server.info.state = state
    fake_server.serving = serving
    with pytest.raises(ServerUnavailable, match=f"within 1.2 s: {message}"):
        VlaservePolicy(port=fake_server.port, connect_timeout_s=1.2)


def test_the_end_of_the_wait_does_not_hide_what_was_in_the_way(fake_server: FakeServer) -> None:
    """The last question is cut short, and a late answer says nothing."""
    fake_server.info.state = State.STATE_LOADING
    fake_server.slow_health_after = 1
    with pytest.raises(ServerUnavailable, match="within 1.2 s: the policy is still being loaded"):
        VlaservePolicy(port=fake_server.port, connect_timeout_s=1.2)


def test_loading_is_waited_for(fake_server: FakeServer) -> None:
    fake_server.info.state = State.STATE_LOADING
    fake_server.serving = False

    def load() -> None:
        fake_server.info.state = State.STATE_SERVING
        fake_server.serving = True

    timer = threading.Timer(0.5, load)
    timer.start()
    start = time.monotonic()
    with VlaservePolicy(port=fake_server.port) as policy:
        assert time.monotonic() - start > 0.4
        assert policy.info.name == "fake_policy"
    timer.join()


def _one_more(response: Response) -> None:
    response.actions.append(0)


def _eight_columns(response: Response) -> None:
    response.action_dim = 8
    response.actions.extend([0.0] * response.horizon)


def _not_finite(response: Response) -> None:
    response.actions[5] = float("nan")


def _another_request(response: Response) -> None:
    response.request_id = "someone-else"


def _an_old_sequence(response: Response) -> None:
    response.sequence -= 1


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_one_more, "has 29 actions for [horizon, action_dim] = [4, 7], expected [4, 7]"),
        (_eight_columns, "[horizon, action_dim] = [4, 8], expected [4, 7]"),
        (_not_finite, "has an action that is not finite"),
        (_another_request, "belongs to request 'someone-else', sequence 1, expected 'r.1.1'"),
        (_an_old_sequence, "sequence 0, expected 'r.1.1', sequence 1"),
    ],
)
def test_a_wrong_answer(
    edit: Callable[[Response], None],
    message: str,
    fake_server: FakeServer,
    small_observation: Observation,
) -> None:
    fake_server.edit = edit
    with VlaservePolicy(port=fake_server.port, session_id="r") as policy:
        with pytest.raises(InvalidResponse) as caught:
            policy.infer(small_observation)
    assert message in str(caught.value)
    assert caught.value.request_id == "r.1.1"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.ABORTED, Superseded),
        (grpc.StatusCode.INTERNAL, ServerError),
        (grpc.StatusCode.FAILED_PRECONDITION, InvalidRequest),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, InvalidRequest),
        (grpc.StatusCode.UNIMPLEMENTED, ProtocolMismatch),
        (grpc.StatusCode.DATA_LOSS, VlaserveError),
    ],
)
def test_every_status_has_its_exception(
    code: grpc.StatusCode,
    kind: Any,
    fake_server: FakeServer,
    small_observation: Observation,
) -> None:
    def fail() -> None:
        raise Refusal(code, "for a reason")

    fake_server.faults = [fail]
    # Only what is unavailable or full is asked again, however old the observation may become.
    with VlaservePolicy(port=fake_server.port, max_observation_age_s=5) as policy:
        with pytest.raises(kind) as caught:
            policy.infer(small_observation)
    assert "for a reason" in str(caught.value)
    assert caught.value.code == code.name
    assert caught.value.request_id == fake_server.requests[0].request_id
    assert len(fake_server.requests) == 1


def test_details_that_are_no_status(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    class Broken(Refusal):
        def trailer(self) -> bytes:
            return b"\xff\xff"

    def fail() -> None:
        raise Broken(grpc.StatusCode.INTERNAL, "for a reason")

    fake_server.faults = [fail]
    with VlaservePolicy(port=fake_server.port) as policy:
        with pytest.raises(ProtocolMismatch, match=r"no google\.rpc\.Status: for a reason"):
            policy.infer(small_observation)
