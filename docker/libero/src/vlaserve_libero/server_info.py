"""What a server says about itself (GetServerInfo), checked for what a client relies on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Dict, List, Optional, Tuple

from ._rpc import policy_pb2
from .errors import ProtocolMismatch

# Not part of the identity: these differ between two processes that compute the same actions.
_INCIDENTAL = ("threads", "max_message_bytes", "max_image_side", "queue_capacity")


@dataclass(frozen=True)
class Camera:
    """A picture that the policy takes.

    `key` is where an observation has it: openpi's key, or the camera's name if it has no such key.
    """

    name: str
    key: str
    optional: bool


@dataclass(frozen=True)
class ServerInfo:
    """One GetServerInfo answer of a server that serves."""

    version: str  # of the server program
    name: str  # of the policy
    type: str  # "pi0" or "pi05"
    archive_sha256: str
    cameras: Tuple[Camera, ...]
    state_dim: int
    horizon: int
    action_dim: int
    model_action_dim: int  # columns of the noise
    num_steps: int  # denoise steps of a request that does not say
    image_size: int  # pixels
    prompt_slots: int
    default_prompt: Optional[str]
    delta_action_mask: Tuple[bool, ...]
    state_in_prompt: bool
    device: str
    compute_dtype: str
    threads: int
    max_message_bytes: int
    max_image_side: int
    queue_capacity: int
    # engine, preset, kernel, quantized_linears, linears, groups; without memory sizes
    quantization: Dict[str, Any] = field(default_factory=dict)
    client: Dict[str, Any] = field(default_factory=dict)  # the policy's notes for clients

    def to_json(self) -> Dict[str, Any]:
        """As a JSON object with the fields' names."""
        return asdict(self)

    def differences(self, other: ServerInfo) -> List[str]:
        """What makes `other` compute other actions: "archive_sha256: 'ab…' -> 'cd…'" a field."""
        return [
            f"{f.name}: {getattr(self, f.name)!r} -> {getattr(other, f.name)!r}"
            for f in fields(self)
            if f.name not in _INCIDENTAL and getattr(self, f.name) != getattr(other, f.name)
        ]


def read_server_info(response: policy_pb2.GetServerInfoResponse, server: str) -> ServerInfo:
    """Checks and converts the answer of a server that serves.

    Args:
        response: The answer.
        server: HOST:PORT, for messages.

    Raises:
        ProtocolMismatch: A field that requests are made from is missing.
    """
    policy, runtime, limits = response.policy, response.runtime, response.limits
    needed = {
        "state": response.state,
        "policy.archive_sha256": policy.archive_sha256,
        "policy.cameras": len(policy.cameras),
        "policy.state_dim": policy.state_dim,
        "policy.horizon": policy.horizon,
        "policy.action_dim": policy.action_dim,
        "policy.model_action_dim": policy.model_action_dim,
        "limits.max_message_bytes": limits.max_message_bytes,
        "limits.max_image_side": limits.max_image_side,
    }
    for name, value in needed.items():
        if not value:
            raise ProtocolMismatch(
                f"{server}: the server's description (GetServerInfo, version "
                f"{response.version or 'unknown'}) has no {name}; use the client that belongs to "
                "the server's version"
            )
    return ServerInfo(
        version=response.version,
        name=policy.name,
        type=policy.type,
        archive_sha256=policy.archive_sha256,
        cameras=tuple(
            Camera(name=c.name, key=c.observation_key or c.name, optional=c.optional)
            for c in policy.cameras
        ),
        state_dim=policy.state_dim,
        horizon=policy.horizon,
        action_dim=policy.action_dim,
        model_action_dim=policy.model_action_dim,
        num_steps=policy.num_steps,
        image_size=policy.image_size,
        prompt_slots=policy.prompt_slots,
        default_prompt=policy.default_prompt if policy.HasField("default_prompt") else None,
        delta_action_mask=tuple(policy.delta_action_mask),
        state_in_prompt=policy.state_in_prompt,
        device=runtime.device,
        compute_dtype=runtime.compute_dtype,
        threads=runtime.threads,
        max_message_bytes=limits.max_message_bytes,
        max_image_side=limits.max_image_side,
        queue_capacity=limits.queue_capacity,
        quantization=_quantization(response.quantization),
        client=_client_notes(policy.client_json, server),
    )


def _quantization(message: policy_pb2.Quantization) -> Dict[str, Any]:
    return {
        "engine": message.engine,
        "preset": message.preset,
        "kernel": message.kernel,
        "quantized_linears": message.quantized_linears,
        "linears": message.linears,
        "groups": [
            {
                "name": group.name,
                "linears": group.linears,
                "weight_bits": group.weight_bits,
                "activation_bits": group.activation_bits,
            }
            for group in message.groups
        ],
    }


def _client_notes(text: str, server: str) -> Dict[str, Any]:
    try:
        notes = json.loads(text or "{}")
    except ValueError as error:
        raise ProtocolMismatch(f"{server}: policy.client_json is no JSON: {error}") from error
    if not isinstance(notes, dict):
        raise ProtocolMismatch(f"{server}: policy.client_json is no JSON object: {text[:80]}")
    return notes
