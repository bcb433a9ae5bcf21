"""HOST:PORT of a server."""

from __future__ import annotations

from typing import Optional, Tuple

from .errors import InvalidRequest


def split_address(server: str) -> Tuple[str, int]:
    """Splits "HOST:PORT" or "[IPV6]:PORT".

    Raises:
        InvalidRequest: It is neither.
    """
    host, colon, port = server.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host.strip("[]") or (":" in host and not bracketed):
        raise InvalidRequest(f"server is {server!r}, expected HOST:PORT", field="server")
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise InvalidRequest(
            f"server is {server!r}, expected HOST:PORT with a port of 1..65535", field="server"
        )
    return (host[1:-1] if bracketed else host), int(port)


def join_address(host: str, port: Optional[int]) -> str:
    """Makes HOST:PORT of openpi's two arguments.

    Args:
        host: Name or address; with `port` None it is HOST:PORT already, as openpi allows.
        port: 1..65535, or None.

    Raises:
        InvalidRequest: Neither makes sense; a URL is named as what it is.
    """
    if "://" in host:
        raise InvalidRequest(
            f"host is {host!r}: vlaserve speaks gRPC, give the name or address alone", field="host"
        )
    if port is not None:
        host = f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
    name, number = split_address(host)
    return f"[{name}]:{number}" if ":" in name else f"{name}:{number}"
