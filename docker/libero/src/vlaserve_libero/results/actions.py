"""How far the actions of two runs are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence

import numpy as np
import numpy.typing as npt

from vlaserve_libero.results.errors import ResultsError
from vlaserve_libero.results.pairs import Pair
from vlaserve_libero.results.statistics import distribution

# Of LIBERO's actions, which lie between -1 and 1: far above rounding, well below a change of mind.
DEFAULT_THRESHOLD = 0.1


@dataclass(frozen=True)
class ActionDifference:
    """Absolute difference of two sets of actions, per action dimension, in the actions' units."""

    actions: int  # pairs of rows that were compared
    mean: List[float]  # [action_dim]
    max: List[float]  # [action_dim]


@dataclass(frozen=True)
class TrajectoryDifference:
    """Executed actions until the trajectories part.

    The runs see the same scene only until then; later differences say nothing about the policies.
    """

    threshold: float  # trajectories part where a dimension differs by more than this
    episodes: int  # pairs that were compared
    never: int  # pairs that did not part while both went on
    parting_step: Optional[Dict[str, float]]  # distribution of the others' first such step, from 0
    until_parting: Optional[ActionDifference]  # of the steps before; None if there are none


def _difference(differences: Sequence[npt.NDArray[np.float64]]) -> Optional[ActionDifference]:
    """Adds up absolute differences [rows, action_dim] each."""
    rows = sum(len(d) for d in differences)
    if rows == 0:
        return None
    every = np.concatenate([d for d in differences if len(d)])
    return ActionDifference(rows, every.mean(axis=0).tolist(), every.max(axis=0).tolist())


def _absolute(
    a: List[List[float]], b: List[List[float]], pair: Pair
) -> Optional[npt.NDArray[np.float64]]:
    """|a - b| of the rows that both have, [rows, action_dim]; None if there are none."""
    rows = min(len(a), len(b))
    if rows == 0:
        return None
    if len(a[0]) != len(b[0]):
        raise ResultsError(
            f"{pair[0].suite} task {pair[0].task_id} episode {pair[0].episode}: actions have "
            f"{len(a[0])} dimensions in one run and {len(b[0])} in the other"
        )
    absolute: npt.NDArray[np.float64] = np.abs(np.array(a[:rows]) - np.array(b[:rows]))
    return absolute


def first_chunk_difference(pairs: Sequence[Pair]) -> Optional[ActionDifference]:
    """Difference of the first chunks: both runs have seen the same observation and noise.

    Args:
        pairs: The same episode of both runs. Of chunks of different horizon the rows that both
            have are compared.

    Returns:
        None if no pair has chunks.

    Raises:
        ResultsError: The actions have different dimensions.
    """
    found = [_absolute(pair[0].first_chunk, pair[1].first_chunk, pair) for pair in pairs]
    return _difference([d for d in found if d is not None])


def trajectory_difference(
    pairs: Sequence[Pair], threshold: float = DEFAULT_THRESHOLD
) -> Optional[TrajectoryDifference]:
    """Where the executed actions part, and how far they are apart before.

    Args:
        pairs: The same episode of both runs.
        threshold: Largest difference, in any dimension, that counts as the same trajectory.

    Returns:
        None if no pair has actions.

    Raises:
        ResultsError: The actions have different dimensions.
    """
    before: List[npt.NDArray[np.float64]] = []
    steps: List[int] = []
    for pair in pairs:
        absolute = _absolute(pair[0].actions, pair[1].actions, pair)
        if absolute is None:
            continue
        apart = np.flatnonzero((absolute > threshold).any(axis=1))
        if len(apart):
            steps.append(int(apart[0]))
            absolute = absolute[: apart[0]]
        before.append(absolute)
    if not before:
        return None
    return TrajectoryDifference(
        threshold, len(before), len(before) - len(steps), distribution(steps), _difference(before)
    )
