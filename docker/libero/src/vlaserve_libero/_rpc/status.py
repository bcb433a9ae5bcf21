"""From a failed call to the exception that says what to do."""

from __future__ import annotations

from typing import Dict, Optional, Type

import grpc
from google.protobuf.message import DecodeError

from ..errors import (
    DeadlineExceeded,
    InvalidRequest,
    ProtocolMismatch,
    QueueFull,
    ServerError,
    ServerUnavailable,
    Superseded,
    VlaserveError,
)
from . import standard_pb2

_DETAILS_KEY = "grpc-status-details-bin"
_PREFIX = "type.googleapis.com/google.rpc."

_CLASSES: Dict[grpc.StatusCode, Type[VlaserveError]] = {
    grpc.StatusCode.UNAVAILABLE: ServerUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.ABORTED: Superseded,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.FAILED_PRECONDITION: InvalidRequest,
    grpc.StatusCode.INTERNAL: ServerError,
    grpc.StatusCode.UNKNOWN: ServerError,
    grpc.StatusCode.UNIMPLEMENTED: ProtocolMismatch,
}


class _Details:
    """What the server attached to a status."""

    reason: Optional[str] = None
    retry_after_s: Optional[float] = None
    field: Optional[str] = None

    def __init__(self, error: grpc.RpcError) -> None:
        if isinstance(error, grpc.Call):
            for key, value in error.trailing_metadata() or ():
                if key == _DETAILS_KEY:
                    self._read(value)

    def _read(self, trailer: bytes) -> None:
        for detail in standard_pb2.Status.FromString(trailer).details:
            if detail.type_url == _PREFIX + "ErrorInfo":
                self.reason = standard_pb2.ErrorInfo.FromString(detail.value).reason
            elif detail.type_url == _PREFIX + "RetryInfo":
                delay = standard_pb2.RetryInfo.FromString(detail.value).retry_delay
                self.retry_after_s = delay.seconds + delay.nanos * 1e-9
            elif detail.type_url == _PREFIX + "BadRequest":
                violations = standard_pb2.BadRequest.FromString(detail.value).field_violations
                self.field = violations[0].field if violations else None


def to_exception(
    error: grpc.RpcError, server: str, request_id: Optional[str] = None
) -> VlaserveError:
    """Makes the exception of a failed call.

    Args:
        error: What gRPC raised.
        server: HOST:PORT, for the message.
        request_id: Of an Infer, None otherwise.
    """
    code, text = error.code(), error.details() or "no reason given"
    try:
        details = _Details(error)
    except DecodeError:
        return ProtocolMismatch(
            f"{server}: {code.name} with details that are no google.rpc.Status: {text}",
            code=code.name,
            request_id=request_id,
        )
    kind = _CLASSES.get(code, VlaserveError)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # Without a reason it is gRPC itself: the message is too large.
        kind = QueueFull if details.reason == "QUEUE_FULL" else InvalidRequest
    return kind(
        f"{server}: {code.name}: {text}",
        code=code.name,
        reason=details.reason,
        retry_after_s=details.retry_after_s,
        field=details.field,
        request_id=request_id,
    )
