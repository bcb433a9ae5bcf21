"""Client of the vlaserve policy server, and evaluation of policies in the LIBERO simulator."""

from __future__ import annotations

from .client import VlaservePolicy
from .errors import VlaserveError

__all__ = ["VlaserveError", "VlaservePolicy", "__version__"]

__version__ = "0.1.0"
