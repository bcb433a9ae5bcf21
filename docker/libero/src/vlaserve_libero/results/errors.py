"""The one error of this part."""

from __future__ import annotations


class ResultsError(Exception):
    """Results cannot be read, made or compared; the message names the file and what is wrong."""
