"""A gRPC server in this process that speaks the wire contract, and breaks it where told to."""

from __future__ import annotations

import threading
from concurrent import futures
from types import TracebackType
from typing import Any, Callable, List, Optional, Tuple, Type

import grpc

from vlaserve_libero._rpc import policy_pb2, standard_pb2
from vlaserve_libero._rpc.services import HEALTH_SERVICE, POLICY_SERVICE

HORIZON, ACTION_DIM = 4, 7
State = policy_pb2.GetServerInfoResponse

# Changes an answer before it is sent.
Edit = Callable[[Any], None]


def default_info() -> policy_pb2.GetServerInfoResponse:
    cameras = [
        policy_pb2.CameraInfo(name=name, slot=slot, observation_key=f"observation/{name}")
        for name, slot in (("image", "base_0_rgb"), ("wrist_image", "left_wrist_0_rgb"))
    ]
    return policy_pb2.GetServerInfoResponse(
        state=State.STATE_SERVING,
        version="1.2.3",
        policy=policy_pb2.PolicyInfo(
            name="fake_policy",
            type="pi0",
            archive_sha256="ab" * 32,
            cameras=cameras,
            state_dim=8,
            horizon=HORIZON,
            action_dim=ACTION_DIM,
            model_action_dim=32,
            num_steps=10,
            image_size=224,
            prompt_slots=48,
            client_json='{"reset_pose": [0, 1]}',
        ),
        runtime=policy_pb2.RuntimeInfo(device="cpu", compute_dtype="float32", threads=2),
        limits=policy_pb2.Limits(max_message_bytes=1 << 20, max_image_side=512, queue_capacity=64),
        quantization=policy_pb2.Quantization(engine="off", preset="fp"),
    )


class Refusal(Exception):
    """Thrown by a fault: the call ends with this status."""

    def __init__(
        self, code: grpc.StatusCode, text: str, details: Tuple[Tuple[str, bytes], ...] = ()
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.details = details

    def trailer(self) -> bytes:
        status = standard_pb2.Status(code=self.code.value[0], message=self.text)
        for name, value in self.details:
            status.details.add(type_url=f"type.googleapis.com/google.rpc.{name}", value=value)
        return status.SerializeToString()


def unavailable(reason: str = "LOADING") -> Refusal:
    info = standard_pb2.ErrorInfo(reason=reason, domain="vlaserve")
    return Refusal(
        grpc.StatusCode.UNAVAILABLE,
        "the policy is still being loaded",
        (("ErrorInfo", info.SerializeToString()),),
    )


def queue_full(retry_after_s: float) -> Refusal:
    info = standard_pb2.ErrorInfo(reason="QUEUE_FULL", domain="vlaserve")
    retry = standard_pb2.RetryInfo(
        retry_delay=standard_pb2.RetryInfo.Duration(nanos=int(retry_after_s * 1e9))
    )
    return Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "as many requests wait as the server allows",
        (("ErrorInfo", info.SerializeToString()), ("RetryInfo", retry.SerializeToString())),
    )


class FakeServer:
    """Answers actions that count up: 0, 1, 2, … in the first row.

    Attributes:
        info: What GetServerInfo answers.
        serving: What health says.
        requests: The requests so far.
        faults: Called one after the other, once each, in place of answering; they raise or wait.
        edit: Changes each Infer answer.
        slow_health_after: So many health checks are answered; the next ones wait for `close`.
    """

    def __init__(
        self, *, health: bool = True, policy: bool = True, port: int = 0, package: str = "v1"
    ) -> None:
        self.info = default_info()
        self.serving = True
        self.requests: List[policy_pb2.InferRequest] = []
        self.faults: List[Callable[[], None]] = []
        self.edit: Optional[Edit] = None
        self.slow_health_after: Optional[int] = None
        self.released = threading.Event()  # ends `hang`
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)]
        )
        handlers = []
        if health:
            handlers.append(_service(HEALTH_SERVICE, {"Check": (self._check, _HEALTH)}))
        if policy:
            methods = {
                "Infer": (self._infer, _INFER),
                "GetServerInfo": (self._get_server_info, _INFO),
            }
            handlers.append(_service(POLICY_SERVICE.replace("v1", package), methods))
        self._server.add_generic_rpc_handlers(tuple(handlers))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def hang(self) -> None:
        """A fault: no answer until the server is closed."""
        self.released.wait(30)

    def close(self) -> None:
        self.released.set()
        self._server.stop(None).wait(10)

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def _check(self, request: Any, context: Any) -> Any:
        if self.slow_health_after is not None:
            self.slow_health_after -= 1
            if self.slow_health_after < 0:
                self.hang()
        states = standard_pb2.HealthCheckResponse
        return states(status=states.SERVING if self.serving else states.NOT_SERVING)

    def _get_server_info(self, request: Any, context: Any) -> Any:
        return self.info

    def _infer(self, request: policy_pb2.InferRequest, context: Any) -> Any:
        self.requests.append(request)
        if self.faults:
            try:
                self.faults.pop(0)()
            except Refusal as refusal:
                context.set_trailing_metadata((("grpc-status-details-bin", refusal.trailer()),))
                context.abort(refusal.code, refusal.text)
        response = policy_pb2.InferResponse(
            actions=[float(i) for i in range(HORIZON * ACTION_DIM)],
            horizon=HORIZON,
            action_dim=ACTION_DIM,
            seed=request.seed if request.HasField("seed") else 99,
            request_id=request.request_id,
            sequence=request.sequence,
            timings=policy_pb2.Timings(
                queue_ms=1,
                preprocess_ms=2,
                prefix_ms=3,
                denoise_ms=4,
                postprocess_ms=5,
                total_ms=15,
            ),
        )
        if self.edit is not None:
            self.edit(response)
        return response


_HEALTH = (standard_pb2.HealthCheckRequest, standard_pb2.HealthCheckResponse)
_INFER = (policy_pb2.InferRequest, policy_pb2.InferResponse)
_INFO = (policy_pb2.GetServerInfoRequest, policy_pb2.GetServerInfoResponse)


def _service(name: str, methods: Any) -> Any:
    return grpc.method_handlers_generic_handler(
        name,
        {
            method: grpc.unary_unary_rpc_method_handler(
                function,
                request_deserializer=messages[0].FromString,
                response_serializer=messages[1].SerializeToString,
            )
            for method, (function, messages) in methods.items()
        },
    )
