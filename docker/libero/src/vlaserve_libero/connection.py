"""A channel to one server: is it there, is it ready, what does it serve."""

from __future__ import annotations

import time
from typing import Any, Optional, Tuple

import grpc

from ._rpc import policy_pb2, standard_pb2
from ._rpc.services import HEALTH_SERVICE, POLICY_SERVICE, HealthStub, PolicyServiceStub
from ._rpc.status import to_exception
from .errors import DeadlineExceeded, ProtocolMismatch, ServerUnavailable, VlaserveError
from .server_info import ServerInfo, read_server_info

_PROBE_S = 5.0  # longest time that a server may take to say how it is
_PAUSE_S = 0.1  # between two questions whether it is ready

_CHANNEL_OPTIONS: Tuple[Tuple[str, int], ...] = (
    # A robot's server is nearby; a proxy meant for the internet would only get in the way.
    ("grpc.enable_http_proxy", 0),
    # A restarted server is found again within a second...
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # ...and has this long to answer an attempt to connect, whatever the name says.
    ("grpc.min_reconnect_backoff_ms", 5000),
    # A machine that vanished without a word is noticed during a long call.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Two clients of one process share no connection, so neither waits for the other's.
    ("grpc.use_local_subchannel_pool", 1),
)

_SERVING = standard_pb2.HealthCheckResponse.SERVING
_STATE_LOADING = policy_pb2.GetServerInfoResponse.STATE_LOADING
_STATE_DRAINING = policy_pb2.GetServerInfoResponse.STATE_DRAINING


class Connection:
    """One server. gRPC reconnects by itself; this knows whom it reconnects to."""

    def __init__(self, server: str) -> None:
        """Args: server: HOST:PORT. Connects at the first call."""
        self.server = server
        self._channel = grpc.insecure_channel(server, options=_CHANNEL_OPTIONS)
        self.policy = PolicyServiceStub(self._channel)
        self._health = HealthStub(self._channel)

    def close(self) -> None:
        """Ends all calls and the connection."""
        self._channel.close()

    def wait_ready(self, timeout_s: float) -> ServerInfo:
        """Waits for the server to be there, to have loaded its policy and to serve.

        Args:
            timeout_s: Longest wait, seconds.

        Returns:
            What it serves.

        Raises:
            ServerUnavailable: Not within the time; says what was last in the way.
            ProtocolMismatch: What listens there is no vlaserve, or one of another version.
        """
        end = time.monotonic() + timeout_s
        obstacle = ""
        while True:
            left = max(end - time.monotonic(), 0.001)
            try:
                return self._probe(min(left, _PROBE_S))
            except ServerUnavailable as error:
                obstacle = str(error)
            except DeadlineExceeded as error:
                # That the wait is over says less than what was in the way before.
                if not obstacle or left >= _PROBE_S:
                    obstacle = str(error)
            if time.monotonic() + _PAUSE_S >= end:
                raise ServerUnavailable(
                    f"{self.server} was not ready within {timeout_s:g} s: {obstacle}",
                    code="UNAVAILABLE",
                )
            time.sleep(_PAUSE_S)

    def _probe(self, timeout_s: float) -> ServerInfo:
        """What is served, or an exception that says what is in the way."""
        health = self._check_health(timeout_s)
        response = self.get_server_info(timeout_s)
        if response.state == _STATE_LOADING:
            raise ServerUnavailable("the policy is still being loaded")
        if response.state == _STATE_DRAINING:
            raise ServerUnavailable("the server is going away")
        if health != _SERVING:
            raise ServerUnavailable("its health is not SERVING")
        return read_server_info(response, self.server)

    def _check_health(self, timeout_s: float) -> int:
        try:
            response = self._health.Check(standard_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            raise self.explain(error, HEALTH_SERVICE) from error
        return int(response.status)

    def get_server_info(self, timeout_s: float) -> policy_pb2.GetServerInfoResponse:
        """Asks what is served, in whatever state the server is.

        Raises:
            VlaserveError: The call failed, see `errors`.
        """
        try:
            response: policy_pb2.GetServerInfoResponse = self.policy.GetServerInfo(
                policy_pb2.GetServerInfoRequest(), timeout=timeout_s
            )
        except grpc.RpcError as error:
            raise self.explain(error, POLICY_SERVICE) from error
        return response

    def explain(self, error: Any, service: str, request_id: Optional[str] = None) -> VlaserveError:
        """The exception of a failed call of `service`."""
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return ProtocolMismatch(
                f"{self.server} speaks gRPC but does not offer {service} as this client knows it: "
                "it is no vlaserve, or one of another version "
                f"({error.details() or 'no reason given'})",
                code="UNIMPLEMENTED",
                request_id=request_id,
            )
        return to_exception(error, self.server, request_id)
