"""Outcomes of the same episode in two runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, Optional, Sequence, Tuple

from vlaserve_libero.records import EpisodeRecord
from vlaserve_libero.results.statistics import (
    Interval,
    mcnemar_exact,
    paired_difference_interval,
)

# The records of one episode, of run A and of run B.
Pair = Tuple[EpisodeRecord, EpisodeRecord]


@dataclass(frozen=True)
class PairCounts:
    """Outcomes of paired episodes."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def pairs(self) -> int:
        """All pairs."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def successes_a(self) -> int:
        """Successes of the first run."""
        return self.both + self.only_a

    @property
    def successes_b(self) -> int:
        """Successes of the second run."""
        return self.both + self.only_b

    @property
    def p_value(self) -> float:
        """Of McNemar's exact test, two-sided."""
        return mcnemar_exact(self.only_a, self.only_b)

    @property
    def difference(self) -> Optional[float]:
        """Success rate of B minus that of A; None without pairs."""
        return (self.only_b - self.only_a) / self.pairs if self.pairs else None

    @property
    def difference_ci95(self) -> Optional[Interval]:
        """Newcombe's 95 % interval of the difference; None without pairs."""
        if not self.pairs:
            return None
        return paired_difference_interval(self.both, self.only_b, self.only_a, self.neither)

    def to_json(self) -> Dict[str, Any]:
        """Counts and what follows from them."""
        interval = self.difference_ci95
        return {
            **asdict(self),
            "pairs": self.pairs,
            "mcnemar_p": self.p_value,
            "difference": self.difference,
            "difference_ci95": None if interval is None else list(interval),
        }


def count_pairs(pairs: Sequence[Pair]) -> PairCounts:
    """Counts pairs; whatever is no success is a failure."""
    outcomes = [(a.outcome == "success", b.outcome == "success") for a, b in pairs]
    return PairCounts(
        both=outcomes.count((True, True)),
        only_a=outcomes.count((True, False)),
        only_b=outcomes.count((False, True)),
        neither=outcomes.count((False, False)),
    )
