"""openpi's names, so that a program of openpi changes one import.

`from openpi_client import websocket_client_policy` becomes
`from vlaserve_libero import websocket_client_policy`. What it speaks is gRPC all the same.
"""

from __future__ import annotations

from vlaserve_libero.client import VlaservePolicy as WebsocketClientPolicy

__all__ = ["WebsocketClientPolicy"]
