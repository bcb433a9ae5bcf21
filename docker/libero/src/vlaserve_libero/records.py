"""What is recorded of an episode: one line of `episodes.jsonl`, the input of every result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Dict, List, Mapping, Optional, Tuple

# A simulator error is neither a success nor a failure of the policy.
OUTCOMES = ("success", "failure", "error")

# (suite, task_id, episode)
EpisodeKey = Tuple[str, int, int]


@dataclass(frozen=True)
class EpisodeRecord:
    """One finished episode.

    Times are wall-clock; latencies are per query, in the order of the queries.
    """

    suite: str
    task_id: int
    task: str  # the task's name
    prompt: str
    episode: int  # 0, 1, ...: trial of this task
    init_state: int  # index of the stored init state
    seed: int  # of the whole run; the seeds of the queries are derived from it
    outcome: str  # one of OUTCOMES
    steps: int  # control steps after settling
    queries: int  # of the policy
    error: Optional[str] = None  # why the outcome is "error"
    interruptions: int = 0  # queries that were repeated since the server went away
    reset_s: float = 0.0  # reset and settling
    episode_s: float = 0.0  # reset to end, all included
    started_at: str = ""  # UTC, ISO 8601
    latency_ms: List[float] = field(default_factory=list)  # query to answer, as the client sees it
    server_ms: List[float] = field(default_factory=list)  # Timings.total_ms; empty without server
    actions: List[List[float]] = field(default_factory=list)  # executed, [steps][action_dim]
    first_chunk: List[List[float]] = field(default_factory=list)  # the first answer, whole
    video: Optional[str] = None  # relative to the results folder

    @property
    def key(self) -> EpisodeKey:
        """Identifies the episode within a run."""
        return (self.suite, self.task_id, self.episode)

    def to_json(self) -> Dict[str, Any]:
        """As an object with the fields' names."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EpisodeRecord:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: A field is missing, unknown, or of no possible value; the message names it.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(value) - known)
        if unknown:
            raise ValueError(f"unknown field {unknown[0]!r}")
        try:
            record = cls(**value)
        except TypeError as error:
            raise ValueError(str(error)) from error
        if record.outcome not in OUTCOMES:
            raise ValueError(
                f"outcome is {record.outcome!r}, expected one of {', '.join(OUTCOMES)}"
            )
        return record
