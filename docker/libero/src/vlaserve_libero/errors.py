"""What can go wrong between this client and a server, as exceptions."""

from __future__ import annotations

from typing import Optional


class VlaserveError(Exception):
    """Anything that went wrong in asking a server; the message says what to change.

    Attributes:
        code: Name of the gRPC status code ("UNAVAILABLE"), None where no server was involved.
        reason: The server's reason for programs ("LOADING", "DRAINING", "QUEUE_FULL",
            "SUPERSEDED"), None if it gave none.
        retry_after_s: Seconds after which the server suggests a repetition, None if it does not.
        field: What is wrong in the request ("images[image].data", "observation/state"), None where
            it is not one field.
        request_id: What the server's log calls the request, None where none was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        code: Optional[str] = None,
        reason: Optional[str] = None,
        retry_after_s: Optional[float] = None,
        field: Optional[str] = None,
        request_id: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.field = field
        self.request_id = request_id


class ServerUnavailable(VlaserveError):
    """No connection, or the server loads its policy or goes away. Later it may answer."""


class QueueFull(VlaserveError):
    """As many requests wait as the server allows."""


class DeadlineExceeded(VlaserveError):
    """The answer did not come in time."""


class Superseded(VlaserveError):
    """A newer request of the same session took this one's place."""


class InvalidRequest(VlaserveError, ValueError):
    """The observation or an option does not fit the policy; the message names the field."""


class ServerError(VlaserveError):
    """A fault inside the server; its log has the reason under the request id."""


class InvalidResponse(VlaserveError):
    """The answer is not what the server's own description promises."""


class ProtocolMismatch(VlaserveError):
    """What listens there is no vlaserve, or one of another version."""


class PolicyChanged(VlaserveError):
    """The server was replaced by one that serves something else."""
