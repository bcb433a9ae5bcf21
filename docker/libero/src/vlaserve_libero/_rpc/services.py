"""The methods that a client calls.

Written by hand: what grpc_python_plugin generates imports by the folder of the .proto file, and the
generators of newer gRPC releases refuse an older runtime.
"""

from __future__ import annotations

from typing import Any

from . import policy_pb2, standard_pb2

POLICY_SERVICE = "vlaserve.v1.PolicyService"
HEALTH_SERVICE = "grpc.health.v1.Health"


class PolicyServiceStub:
    """vlaserve.v1.PolicyService on a channel."""

    def __init__(self, channel: Any) -> None:
        self.Infer = channel.unary_unary(
            f"/{POLICY_SERVICE}/Infer",
            request_serializer=policy_pb2.InferRequest.SerializeToString,
            response_deserializer=policy_pb2.InferResponse.FromString,
        )
        self.GetServerInfo = channel.unary_unary(
            f"/{POLICY_SERVICE}/GetServerInfo",
            request_serializer=policy_pb2.GetServerInfoRequest.SerializeToString,
            response_deserializer=policy_pb2.GetServerInfoResponse.FromString,
        )


class HealthStub:
    """grpc.health.v1.Health on a channel."""

    def __init__(self, channel: Any) -> None:
        self.Check = channel.unary_unary(
            f"/{HEALTH_SERVICE}/Check",
            request_serializer=standard_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=standard_pb2.HealthCheckResponse.FromString,
        )
