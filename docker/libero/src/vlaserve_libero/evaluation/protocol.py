"""Evaluation protocols: how long an episode lasts and how often the policy is asked.

Figures of openpi: its `examples/libero/main.py`. Figures of LeRobot: its LIBERO environment and the
command line in its documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, Mapping, Optional

from vlaserve_libero.evaluation.errors import UsageError

# Who draws the poses of fixtures (cabinet, stove), which no init state contains.
#   openpi   numpy's generator is seeded once per task and goes on from reset to reset: the poses
#            depend on how many episodes came before, so one process runs a task's episodes in order
#   episode  seeded for each episode: independent of order, processes and interruptions
FIXTURES = ("openpi", "episode")


@dataclass(frozen=True)
class Protocol:
    """One way to run a benchmark.

    Attributes:
        name: "openpi" or "lerobot".
        settle_steps: Steps without motion after the init state is set.
        replan_steps: Actions of each chunk that are executed before the policy is asked again.
        max_steps: Per suite, the steps after settling within which the task must succeed.
        other_max_steps: The same for suites that the protocol does not know.
        fixtures: One of FIXTURES.
    """

    name: str
    settle_steps: int
    replan_steps: int
    max_steps: Mapping[str, int]
    other_max_steps: int
    fixtures: str

    def rules(self, suite: str) -> Rules:
        """What holds for the episodes of one suite."""
        return Rules(
            settle_steps=self.settle_steps,
            replan_steps=self.replan_steps,
            max_steps=self.max_steps.get(suite, self.other_max_steps),
            fixtures=self.fixtures,
        )

    def changed(
        self,
        *,
        settle_steps: Optional[int] = None,
        replan_steps: Optional[int] = None,
        max_steps: Optional[int] = None,
        fixtures: Optional[str] = None,
    ) -> Protocol:
        """The protocol with the given values in place of its own; None leaves a value.

        Raises:
            UsageError: A value is out of range.
        """
        changes: Dict[str, Any] = {}
        if settle_steps is not None:
            _at_least("--settle-steps", settle_steps, 0)
            changes["settle_steps"] = settle_steps
        if replan_steps is not None:
            _at_least("--replan-steps", replan_steps, 1)
            changes["replan_steps"] = replan_steps
        if max_steps is not None:
            _at_least("--max-steps", max_steps, 1)
            changes.update(max_steps={}, other_max_steps=max_steps)
        if fixtures is not None:
            if fixtures not in FIXTURES:
                raise UsageError(f"--fixtures {fixtures}: expected one of {', '.join(FIXTURES)}")
            changes["fixtures"] = fixtures
        return replace(self, **changes)


@dataclass(frozen=True)
class Rules:
    """A protocol's figures for one suite; see Protocol."""

    settle_steps: int
    replan_steps: int
    max_steps: int
    fixtures: str


def _at_least(option: str, value: int, least: int) -> None:
    if value < least:
        raise UsageError(f"{option} {value}: expected {least} or more")


PROTOCOLS: Dict[str, Protocol] = {
    "openpi": Protocol(
        name="openpi",
        settle_steps=10,
        replan_steps=5,
        max_steps={
            "libero_spatial": 220,
            "libero_object": 280,
            "libero_goal": 300,
            "libero_10": 520,
            "libero_90": 400,
        },
        other_max_steps=400,
        fixtures="openpi",
    ),
    "lerobot": Protocol(
        name="lerobot",
        settle_steps=10,
        replan_steps=10,
        max_steps={
            "libero_spatial": 280,
            "libero_object": 280,
            "libero_goal": 300,
            "libero_10": 520,
            "libero_90": 400,
        },
        other_max_steps=400,
        fixtures="episode",
    ),
}


def protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"--protocol {name}: expected one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
