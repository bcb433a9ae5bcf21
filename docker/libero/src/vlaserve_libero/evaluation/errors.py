"""How an evaluation ends early."""

from __future__ import annotations


class EvaluationError(Exception):
    """The run cannot start or go on; the message says what to change."""


class UsageError(EvaluationError):
    """An option has a value that cannot be; the message names it and what was expected."""
