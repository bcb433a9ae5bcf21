"""VlaservePolicy: a policy that a vlaserve server computes."""

from __future__ import annotations

import logging
import time
import uuid
from types import TracebackType
from typing import Any, Dict, Mapping, Optional, Sequence, Type

import grpc
import numpy as np

from ._rpc import policy_pb2
from ._rpc.services import POLICY_SERVICE
from .address import join_address
from .connection import Connection
from .errors import (
    InvalidRequest,
    InvalidResponse,
    PolicyChanged,
    QueueFull,
    ServerUnavailable,
    VlaserveError,
)
from .observation import check_size, make_noise, make_request
from .options import MAX_ID_BYTES, check_id, check_options, check_seed
from .policies.base import STATE
from .server_info import ServerInfo, read_server_info

_log = logging.getLogger(__name__)


class VlaservePolicy:
    """Takes the place of openpi's `WebsocketClientPolicy`, over gRPC.

    Not thread-safe: one caller at a time, as an observation belongs to one robot. Several policies
    may talk to one server.

    Every call ends: a call to the server after `deadline_s`, the wait for a server after
    `connect_timeout_s`. An answer is accepted only if it belongs to the request, has the promised
    size and is finite, and only while the server still serves what it served at first.

    Attributes:
        server: HOST:PORT.
        info: What the server serves.
        session_id: The episode's name at the server; a new one after every `reset`.
        last_interruptions: How often the last `infer` had to be repeated since the server was away.
        interruptions: Likewise, of all calls so far.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: Optional[int] = 50051,
        api_key: Optional[str] = None,
        *,
        deadline_s: float = 60.0,
        connect_timeout_s: float = 60.0,
        max_observation_age_s: float = 0.0,
        session_id: Optional[str] = None,
        image_encoding: str = "rgb8",
        num_steps: Optional[int] = None,
        state_keys: Sequence[str] = (STATE,),
    ) -> None:
        """Connects and waits until the server serves.

        Args:
            host: Name or address; HOST:PORT with `port` None.
            port: Of the server.
            api_key: As in openpi's client. Must be None: the server has no authentication, and a
                key that nobody checks would only look safe.
            deadline_s: Longest time of one request, seconds.
            connect_timeout_s: Longest wait for the server to be there and ready, seconds.
            max_observation_age_s: `infer` repeats a request that failed because the server was
                unavailable or its queue full, while the observation is younger than this, seconds.
                0: never, right for a robot, which moves on; a simulation stands still and can wait.
            session_id: Names the robot at the server, at most 100 bytes; the sessions of episodes
                are this and a number. None: a random name.
            image_encoding: "rgb8" or "png", see `images.encode`.
            num_steps: Denoise steps, 1..100; None: what the policy says.
            state_keys: Keys whose numbers, one after the other, are the state.

        Raises:
            InvalidRequest: An argument is wrong.
            ServerUnavailable: No server, or not ready in time.
            ProtocolMismatch: It is no vlaserve, or one of another version.
        """
        check_options(
            api_key=api_key,
            deadline_s=deadline_s,
            connect_timeout_s=connect_timeout_s,
            max_observation_age_s=max_observation_age_s,
            image_encoding=image_encoding,
            num_steps=num_steps,
            state_keys=state_keys,
        )
        self._robot = check_id(session_id or f"client-{uuid.uuid4().hex[:12]}", "session_id", 100)
        self._deadline_s = deadline_s
        self._connect_timeout_s = connect_timeout_s
        self._max_age_s = max_observation_age_s
        self._image_encoding = image_encoding
        self._num_steps = num_steps
        self._state_keys = tuple(state_keys)
        self._episode = 0
        self._sequence = 0
        self._warned_of_truncation = False
        self.last_interruptions = 0
        self.interruptions = 0
        self.server = join_address(host, port)
        self._connection = Connection(self.server)
        try:
            self.info: ServerInfo = self._connection.wait_ready(connect_timeout_s)
        except BaseException:
            self.close()
            raise
        self.reset()

    def infer(
        self,
        obs: Mapping[str, Any],
        *,
        seed: Optional[int] = None,
        noise: Optional[Any] = None,
        request_id: Optional[str] = None,
    ) -> Dict[str, Any]:
        """Asks for the action chunk of an observation.

        Args:
            obs: The observation, see `policies.base`: a picture under each camera's key, the state,
                and the prompt unless the policy has a default one.
            seed: Of the starting noise, 0..2^64-1. None: the server draws one and reports it.
            noise: Starting noise itself, finite numbers [horizon, model_action_dim] in model space.
                Not together with `seed`.
            request_id: Name of the request in the server's log, at most 128 bytes. None: the
                session and a number.

        Returns:
            "actions": float64 [horizon, action_dim], in the units of the robot;
            "policy_timing": {"infer_ms": the model alone};
            "server_timing": {"infer_ms": all work on the request, "queue_ms", "preprocess_ms",
            "prefix_ms", "denoise_ms", "postprocess_ms", "total_ms"};
            "seed": the seed used, None where noise was given;
            "request_id"; "prompt_truncated": the end of the prompt did not fit.

        Raises:
            InvalidRequest: The observation or an argument does not fit the policy.
            ServerUnavailable, QueueFull: And the observation is too old to repeat the request.
            DeadlineExceeded: No answer within `deadline_s`.
            Superseded: A newer request of the same session took this one's place.
            ServerError, InvalidResponse: A fault on the server's side. No action is returned.
            PolicyChanged: The server was replaced by one that serves something else.
        """
        start = time.monotonic()
        request = self._make_request(obs, seed, noise, request_id)
        self.last_interruptions = 0
        while True:
            self._sequence += 1
            request.sequence = self._sequence
            try:
                response = self._ask(request)
                break
            except (ServerUnavailable, QueueFull) as error:
                left = self._max_age_s - (time.monotonic() - start)
                if left <= 0:
                    raise
                if isinstance(error, ServerUnavailable):
                    self.last_interruptions += 1
                    self.interruptions += 1
                self._wait(error, left)
        return self._read(request, response)

    def reset(self) -> None:
        """Starts an episode: later requests belong to a new session of the server."""
        self._episode += 1
        self._sequence = 0
        self.session_id = f"{self._robot}.{self._episode}"

    def wait_ready(self, timeout_s: float) -> ServerInfo:
        """Waits until the server serves, for instance after a ServerUnavailable.

        Raises:
            ServerUnavailable: Not within the time.
            PolicyChanged: It serves something else now.
        """
        info = self._connection.wait_ready(timeout_s)
        self._check_same(info)
        return info

    def get_server_metadata(self) -> Dict[str, Any]:
        """The policy's notes for clients (openpi's metadata), and under "vlaserve" `info`."""
        return {**self.info.client, "vlaserve": self.info.to_json()}

    def close(self) -> None:
        """Ends the connection. Later calls are errors."""
        self._connection.close()

    def __enter__(self) -> VlaservePolicy:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def _make_request(
        self,
        obs: Mapping[str, Any],
        seed: Optional[int],
        noise: Optional[Any],
        request_id: Optional[str],
    ) -> policy_pb2.InferRequest:
        request = make_request(
            obs, self.info, state_keys=self._state_keys, image_encoding=self._image_encoding
        )
        if seed is not None and noise is not None:
            raise InvalidRequest("seed and noise are both given, expected one", field="noise")
        if seed is not None:
            request.seed = check_seed(seed)
        if noise is not None:
            request.noise.extend(make_noise(noise, self.info))
        if self._num_steps is not None:
            request.num_steps = self._num_steps
        request.session_id = self.session_id
        request.request_id = check_id(
            request_id or f"{self.session_id}.{self._sequence + 1}", "request_id", MAX_ID_BYTES
        )
        check_size(request, self.info)
        return request

    def _ask(self, request: policy_pb2.InferRequest) -> policy_pb2.InferResponse:
        """One attempt.

        GetServerInfo goes ahead of the request on the same connection: gRPC reconnects silently,
        and without it a server that was replaced between two calls would go unnoticed. It costs no
        time, since the server answers it beside the inference.
        """
        policy = self._connection.policy
        asked = policy.GetServerInfo.future(
            policy_pb2.GetServerInfoRequest(), timeout=self._deadline_s
        )
        try:
            response: policy_pb2.InferResponse = policy.Infer(request, timeout=self._deadline_s)
            answer: policy_pb2.GetServerInfoResponse = asked.result()
        except grpc.RpcError as error:
            asked.cancel()
            raise self._connection.explain(error, POLICY_SERVICE, request.request_id) from error
        if answer.state == policy_pb2.GetServerInfoResponse.STATE_LOADING:
            # It became ready in between; while loading it does not know yet what it computes.
            answer = self._connection.get_server_info(self._deadline_s)
        self._check_same(read_server_info(answer, self.server))
        return response

    def _wait(self, error: VlaserveError, left_s: float) -> None:
        """Until a repetition makes sense, at most `left_s`."""
        if isinstance(error, ServerUnavailable):
            _log.warning("%s; waiting up to %.0f s for the server", error, left_s)
            self.wait_ready(left_s)
        else:
            time.sleep(min(left_s, error.retry_after_s or 0.1))

    def _check_same(self, info: ServerInfo) -> None:
        changes = self.info.differences(info)
        if changes:
            raise PolicyChanged(
                f"{self.server} was replaced by a server that computes other actions "
                f"({'; '.join(changes)}): make a new VlaservePolicy if that is meant"
            )

    def _read(
        self, request: policy_pb2.InferRequest, response: policy_pb2.InferResponse
    ) -> Dict[str, Any]:
        actions = self._check_actions(request, response)
        if response.prompt_truncated and not self._warned_of_truncation:
            self._warned_of_truncation = True
            _log.warning(
                "the prompt %r has more than the policy's %d tokens: its end is cut off",
                request.prompt,
                self.info.prompt_slots,
            )
        times = response.timings
        return {
            "actions": actions,
            "policy_timing": {"infer_ms": times.prefix_ms + times.denoise_ms},
            "server_timing": {
                "infer_ms": times.total_ms - times.queue_ms,
                "queue_ms": times.queue_ms,
                "preprocess_ms": times.preprocess_ms,
                "prefix_ms": times.prefix_ms,
                "denoise_ms": times.denoise_ms,
                "postprocess_ms": times.postprocess_ms,
                "total_ms": times.total_ms,
            },
            "seed": None if request.noise else response.seed,
            "request_id": response.request_id,
            "prompt_truncated": response.prompt_truncated,
        }

    def _check_actions(
        self, request: policy_pb2.InferRequest, response: policy_pb2.InferResponse
    ) -> Any:
        """The actions as an array, or an InvalidResponse: nothing doubtful reaches a robot."""
        problem = None
        shape = (response.horizon, response.action_dim)
        expected = (self.info.horizon, self.info.action_dim)
        if (response.request_id, response.sequence) != (request.request_id, request.sequence):
            problem = (
                f"belongs to request {response.request_id!r}, sequence {response.sequence}, "
                f"expected {request.request_id!r}, sequence {request.sequence}"
            )
        elif shape != expected or len(response.actions) != shape[0] * shape[1]:
            problem = (
                f"has {len(response.actions)} actions for [horizon, action_dim] = {list(shape)}, "
                f"expected {list(expected)}"
            )
        actions = np.array(response.actions, np.float64)
        if problem is None and not bool(np.all(np.isfinite(actions))):
            problem = "has an action that is not finite"
        if problem is not None:
            raise InvalidResponse(
                f"{self.server}: the answer {problem}", request_id=request.request_id
            )
        return actions.reshape(expected)
