"""The few statistics that success rates need, without SciPy."""

from __future__ import annotations

import math
from typing import Dict, Optional, Sequence, Tuple

import numpy as np

# 0.975 quantile of the standard normal distribution: two-sided 95 %.
Z95 = 1.959963984540054

Interval = Tuple[float, float]


def wilson_interval(successes: int, episodes: int, z: float = Z95) -> Interval:
    """The score interval of a success probability.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
    the American Statistical Association 22 (1927) 209-212. Unlike the normal approximation it
    stays within 0 and 1 and is sound for few episodes and for rates near 0 and 1.

    Args:
        successes: How many episodes succeeded.
        episodes: How many there were, at least one.
        z: Quantile of the standard normal distribution.

    Returns:
        Lower and upper limit, fractions of 1.

    Raises:
        ValueError: The counts are impossible.
    """
    if episodes < 1 or not 0 <= successes <= episodes:
        raise ValueError(f"{successes} successes of {episodes} episodes: no interval")
    rate = successes / episodes
    z2 = z * z / episodes
    centre = (rate + z2 / 2) / (1 + z2)
    half = z * math.sqrt(rate * (1 - rate) / episodes + z2 / (4 * episodes)) / (1 + z2)
    # Exact at the ends, where rounding would leave about 1e-17 instead.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == episodes else min(1.0, centre + half)
    return low, high


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided p value of "both policies succeed equally often", from paired episodes.

    Episodes in which both succeed or both fail say nothing; were the policies equally good, each
    of the others would fall to either side with probability 1/2. The exact (binomial, conditional)
    form of Q. McNemar, Psychometrika 12 (1947) 153-157, as in A. Agresti, "Categorical Data
    Analysis", section 10.1.

    Args:
        only_a: Pairs in which the first succeeded and the second did not.
        only_b: Pairs the other way round.

    Returns:
        The p value; 1 without any such pair.

    Raises:
        ValueError: A count is negative.
    """
    if only_a < 0 or only_b < 0:
        raise ValueError(f"counts must not be negative: {only_a}, {only_b}")
    pairs = only_a + only_b
    tail = sum(math.comb(pairs, i) for i in range(min(only_a, only_b) + 1))
    # Integers up to here: exact for any number of pairs.
    return min(1.0, 2 * tail / (1 << pairs))


def paired_difference_interval(both: int, only_a: int, only_b: int, neither: int) -> Interval:
    """95 % interval of the difference of two success rates (A minus B) from paired episodes.

    R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions
    based on paired data", Statistics in Medicine 17 (1998) 2635-2650, method 10: the Wilson
    limits of both rates, combined with the continuity-corrected correlation of the pairs. Chosen
    over Wald's interval, which has width 0 where the runs never differ.

    Args:
        both: Pairs in which both succeeded.
        only_a: Pairs in which only A succeeded.
        only_b: Pairs in which only B succeeded.
        neither: Pairs in which none succeeded.

    Returns:
        Lower and upper limit, between -1 and 1.

    Raises:
        ValueError: There is no pair.
    """
    pairs = both + only_a + only_b + neither
    a, b = both + only_a, both + only_b
    low_a, high_a = wilson_interval(a, pairs)
    low_b, high_b = wilson_interval(b, pairs)
    rate_a, rate_b = a / pairs, b / pairs

    margins = a * (pairs - a) * b * (pairs - b)
    association = float(both * neither - only_a * only_b)
    if association > 0:
        association = max(association - pairs / 2, 0.0)
    phi = association / math.sqrt(margins) if margins else 0.0

    def distance(x: float, y: float) -> float:
        # Not below 0 but for rounding, as |phi| <= 1.
        return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))

    difference = rate_a - rate_b
    return (
        max(-1.0, difference - distance(rate_a - low_a, high_b - rate_b)),
        min(1.0, difference + distance(rate_b - low_b, high_a - rate_a)),
    )


def distribution(values: Sequence[float]) -> Optional[Dict[str, float]]:
    """Count, mean, percentiles 50, 90 and 99 (linear interpolation), smallest and largest value.

    Returns:
        The figures by name ("count", "mean", "min", "p50", "p90", "p99", "max"); None without
        values.
    """
    if not values:
        return None
    array = np.asarray(values, dtype=np.float64)
    p50, p90, p99 = (float(p) for p in np.percentile(array, [50, 90, 99]))
    return {
        "count": len(values),
        "mean": float(array.mean()),
        "min": float(array.min()),
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "max": float(array.max()),
    }
