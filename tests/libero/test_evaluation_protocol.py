"""The figures of the protocols, and the seeds that are derived from a run's seed."""

from __future__ import annotations

import hashlib
from typing import Any, Dict

import pytest

from vlaserve_libero.evaluation.errors import UsageError
from vlaserve_libero.evaluation.protocol import protocol
from vlaserve_libero.evaluation.seeds import fixture_seed, query_seed

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")


def test_figures_of_openpi() -> None:
    openpi = protocol("openpi")
    assert [openpi.rules(suite).max_steps for suite in SUITES] == [220, 280, 300, 520, 400]
    rules = openpi.rules("libero_goal")
    assert (rules.settle_steps, rules.replan_steps, rules.fixtures) == (10, 5, "openpi")


def test_figures_of_lerobot() -> None:
    lerobot = protocol("lerobot")
    assert [lerobot.rules(suite).max_steps for suite in SUITES] == [280, 280, 300, 520, 400]
    rules = lerobot.rules("libero_goal")
    assert (rules.settle_steps, rules.replan_steps, rules.fixtures) == (10, 10, "episode")


def test_a_figure_can_be_changed_without_the_others() -> None:
    changed = protocol("openpi").changed(replan_steps=3)
    assert changed.rules("libero_spatial").replan_steps == 3
    assert changed.rules("libero_spatial").max_steps == 220
    assert protocol("openpi").rules("libero_spatial").replan_steps == 5


def test_max_steps_hold_for_every_suite() -> None:
    changed = protocol("openpi").changed(max_steps=33)
    assert {changed.rules(suite).max_steps for suite in (*SUITES, "lift")} == {33}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replan_steps": 0}, "--replan-steps 0: expected 1 or more"),
        ({"max_steps": 0}, "--max-steps 0: expected 1 or more"),
        ({"settle_steps": -1}, "--settle-steps -1: expected 0 or more"),
        ({"fixtures": "mine"}, "--fixtures mine: expected one of openpi, episode"),
    ],
)
def test_impossible_figures_are_refused(changes: Dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        protocol("openpi").changed(**changes)


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(UsageError, match="--protocol mine: expected one of openpi, lerobot"):
        protocol("mine")


def test_query_seeds_are_the_documented_hash() -> None:
    digest = hashlib.sha256(b"vlaserve-libero query 7 libero_object 3 12 0").digest()
    expected = int.from_bytes(digest[:8], "little") & (2**63 - 1)
    assert query_seed(7, "libero_object", 3, 12, 0) == expected


def test_every_part_of_a_query_s_name_changes_its_seed() -> None:
    names = [
        (7, "a", 1, 2, 3), (8, "a", 1, 2, 3), (7, "b", 1, 2, 3),
        (7, "a", 2, 2, 3), (7, "a", 1, 3, 3), (7, "a", 1, 2, 4), (7, "a", 12, 3, 4),
        (7, "a", 1, 23, 4),
    ]  # fmt: skip
    seeds = [query_seed(*name) for name in names]
    assert len(set(seeds)) == len(names)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_fixture_seeds_suit_numpy_and_differ_by_episode() -> None:
    seeds = [fixture_seed(7, "libero_goal", 0, episode) for episode in range(50)]
    assert len(set(seeds)) == 50
    assert all(0 <= seed < 2**32 for seed in seeds)
