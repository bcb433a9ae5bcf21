"""Intervals, tests and percentiles, against published figures."""

from __future__ import annotations

import math

import pytest

from vlaserve_libero.results.statistics import (
    distribution,
    mcnemar_exact,
    paired_difference_interval,
    wilson_interval,
)


# R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_as_published(
    successes: int, episodes: int, low: float, high: float
) -> None:
    assert wilson_interval(successes, episodes) == pytest.approx((low, high), abs=5e-5)


# statsmodels 0.15, proportion_confint(method="wilson").
def test_wilson_interval_as_statsmodels() -> None:
    assert wilson_interval(95, 100) == pytest.approx(
        (0.8882495307680808, 0.9784563208456319), rel=1e-13
    )


def test_wilson_interval_is_exact_at_the_ends() -> None:
    for episodes in range(1, 200):
        assert wilson_interval(0, episodes)[0] == 0.0
        assert wilson_interval(episodes, episodes)[1] == 1.0
        mirrored = [1 - limit for limit in reversed(wilson_interval(0, episodes))]
        assert wilson_interval(episodes, episodes) == pytest.approx(mirrored)


@pytest.mark.parametrize(("successes", "episodes"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_interval_refuses_impossible_counts(successes: int, episodes: int) -> None:
    with pytest.raises(ValueError, match=f"{successes} successes of {episodes} episodes"):
        wilson_interval(successes, episodes)


# M. W. Fagerland, S. Lydersen, P. Laake, BMC Medical Research Methodology 13:91 (2013): airway
# hyper-responsiveness (0.070) and complete response (0.052), exact conditional test.
@pytest.mark.parametrize(("only_a", "only_b", "p"), [(1, 7, 0.070), (6, 16, 0.052)])
def test_mcnemar_as_published(only_a: int, only_b: int, p: float) -> None:
    assert mcnemar_exact(only_a, only_b) == pytest.approx(p, abs=5e-4)
    assert mcnemar_exact(only_b, only_a) == mcnemar_exact(only_a, only_b)


# statsmodels 0.15, mcnemar(exact=True).
def test_mcnemar_as_statsmodels() -> None:
    assert mcnemar_exact(59, 80) == pytest.approx(0.08945231499446925, rel=1e-12)


def test_mcnemar_without_evidence_is_one() -> None:
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(5, 5) == 1.0


def test_mcnemar_takes_more_pairs_than_a_float_can_count() -> None:
    assert mcnemar_exact(1000, 1000) == 1.0
    assert mcnemar_exact(900, 1100) == pytest.approx(8.5e-6, rel=0.02)
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 2)


# Newcombe, Statistics in Medicine 17 (1998) 2635-2650, method 10: 36, 12, 2, 0. M. W. Fagerland,
# S. Lydersen, P. Laake, "Statistical Analysis of Contingency Tables" (2017), chapter 8: 59, 6, 16,
# 80.
@pytest.mark.parametrize(
    ("both", "only_a", "only_b", "neither", "low", "high"),
    [(36, 12, 2, 0, 0.0569, 0.3404), (59, 6, 16, 80, -0.1186, -0.0046)],
)
def test_paired_difference_interval_as_published(
    both: int, only_a: int, only_b: int, neither: int, low: float, high: float
) -> None:
    interval = paired_difference_interval(both, only_a, only_b, neither)
    assert interval == pytest.approx((low, high), abs=5e-5)
    swapped = paired_difference_interval(both, only_b, only_a, neither)
    assert swapped == pytest.approx((-high, -low), abs=5e-5)


def test_paired_difference_interval_has_a_width_where_runs_agree() -> None:
    for counts in [(50, 0, 0, 0), (0, 0, 0, 50), (30, 0, 0, 20)]:
        low, high = paired_difference_interval(*counts)
        assert low == pytest.approx(-high)
        assert 0.03 < high < 0.08
    low, high = paired_difference_interval(0, 1, 0, 0)
    assert -1 <= low < high == 1


def test_distribution_interpolates_percentiles() -> None:
    found = distribution([4.0, 1.0, 3.0, 2.0])
    assert found is not None
    assert found == pytest.approx(
        {"count": 4, "mean": 2.5, "min": 1, "p50": 2.5, "p90": 3.7, "p99": 3.97, "max": 4}
    )
    assert distribution([]) is None
    single = distribution([7.0])
    assert single is not None
    assert {v for k, v in single.items() if k != "count"} == {7.0}
    assert all(math.isfinite(v) for v in single.values())
