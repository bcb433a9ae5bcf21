"""The scripted controller solves the toy world, and its replay does not look."""

from __future__ import annotations

from typing import Dict, List, Tuple

import numpy as np
import numpy.typing as npt
import pytest

from vlaserve_libero.environments import registry
from vlaserve_libero.environments.base import Environment, SimulatorError, Step, Task
from vlaserve_libero.policies import EnvironmentPolicy, PolicyError
from vlaserve_libero.policies.open_loop import OpenLoopReplay
from vlaserve_libero.policies.scripted import ScriptedPolicy, object_of

_CAP = 280


def play(
    environment: Environment, policy: EnvironmentPolicy, init_state: int, replan_steps: int = 5
) -> Tuple[bool, npt.NDArray[np.float64]]:
    """One episode: whether it succeeded, and the actions that were executed."""
    policy.reset()
    policy.begin_episode(environment)
    step = environment.reset(init_state, seed=7)
    actions: List[npt.NDArray[np.float64]] = []
    while len(actions) < _CAP:
        for action in policy.infer({})["actions"][:replan_steps]:
            step = environment.step(action, observation=False)
            actions.append(action)
            if step.done:
                return True, np.array(actions)
    return False, np.array(actions)


@pytest.mark.parametrize("replan_steps", [1, 5, 30])
@pytest.mark.parametrize("task_id", [0, 1, 2])
def test_the_scripted_controller_solves_every_task(task_id: int, replan_steps: int) -> None:
    environment = registry.make("fake", "pick_and_place", task_id)
    policy = ScriptedPolicy(replan_steps=replan_steps, horizon=30)
    episodes = [play(environment, policy, i, replan_steps) for i in range(20)]
    assert [success for success, _ in episodes] == [True] * 20
    # Nobody grasps twice: what happens within a chunk is foreseen.
    closings = [np.count_nonzero(np.diff(actions[:, 6]) > 0) for _, actions in episodes]
    assert closings == [1] * 20


def test_the_baselines_are_policies_that_ask_for_the_environment() -> None:
    assert isinstance(ScriptedPolicy(), EnvironmentPolicy)
    assert isinstance(OpenLoopReplay(), EnvironmentPolicy)


def test_a_chunk_has_the_horizon_and_only_what_is_executed_is_remembered() -> None:
    environment = registry.make("fake", "pick_and_place", 0)
    long, short = (ScriptedPolicy(replan_steps=5, horizon=h) for h in (30, 5))
    assert play(environment, long, 0)[0]
    a = play(environment, long, 1)[1]
    b = play(environment, short, 1)[1]
    assert np.array_equal(a, b)
    long.reset()
    long.begin_episode(environment)
    environment.reset(0)
    assert long.infer({})["actions"].shape == (30, 7)


def test_open_loop_plays_the_same_actions_whatever_it_would_see() -> None:
    environment = registry.make("fake", "pick_and_place", 0)
    success, recorded = play(environment, ScriptedPolicy(), 0)
    assert success
    policy = OpenLoopReplay()
    assert play(environment, policy, 0)[0]
    success, played = play(environment, policy, 1)
    assert not success
    assert np.array_equal(played[: len(recorded)], recorded)
    assert np.array_equal(
        played[len(recorded) :], [[0, 0, 0, 0, 0, 0, -1]] * (_CAP - len(recorded))
    )


def test_open_loop_records_once_per_task() -> None:
    class Counting(OpenLoopReplay):
        recordings = 0

        def _record(self, environment: Environment) -> npt.NDArray[np.float64]:
            self.recordings += 1
            return super()._record(environment)

    policy = Counting()
    for task_id, expected in ((0, 1), (0, 1), (2, 2), (0, 2)):
        play(registry.make("fake", "pick_and_place", task_id), policy, 3)
        assert policy.recordings == expected


def test_open_loop_says_so_if_there_is_nothing_to_play() -> None:
    environment = registry.make("fake", "pick_and_place", 0)
    policy = OpenLoopReplay(max_steps=20)
    with pytest.raises(PolicyError, match="did not solve task .* in 20 steps"):
        policy.begin_episode(environment)


def test_a_simulator_error_while_recording_stays_one() -> None:
    environment = registry.make("fake", "pick_and_place", 0, fail_at=10)
    with pytest.raises(SimulatorError, match="injected fault"):
        OpenLoopReplay().begin_episode(environment)


@pytest.mark.parametrize("policy", [ScriptedPolicy(), OpenLoopReplay()])
def test_infer_before_begin_episode_is_an_error(policy: EnvironmentPolicy) -> None:
    with pytest.raises(PolicyError, match="begin_episode must be called before infer"):
        policy.infer({})


class _Blind(Environment):
    """Tells no positions."""

    task = Task(0, "open_the_drawer", "open the drawer")

    def reset(self, init_state: int, **options: object) -> Step:
        return Step({}, False)

    def step(
        self, action: npt.NDArray[np.float64], *, observation: bool, frame: bool = False
    ) -> Step:
        return Step(None, False)

    def privileged(self) -> Dict[str, npt.NDArray[np.float64]]:
        return {}

    def close(self) -> None:
        pass


def test_an_environment_without_positions_cannot_be_scripted() -> None:
    environment = _Blind()
    policy = ScriptedPolicy()
    policy.begin_episode(environment)
    with pytest.raises(PolicyError, match="'open_the_drawer': the environment does not tell"):
        policy.infer({})


@pytest.mark.parametrize("replan_steps", [0, 11])
def test_replan_steps_must_fit_the_horizon(replan_steps: int) -> None:
    with pytest.raises(PolicyError, match=f"replan_steps is {replan_steps}, expected 1 to 10"):
        ScriptedPolicy(replan_steps=replan_steps)


@pytest.mark.parametrize(
    ("task", "found"),
    [
        ("pick_up_the_alphabet_soup_and_place_it_in_the_basket", "alphabet_soup"),
        ("pick_up_the_cube", ""),
        ("open_the_middle_drawer_of_the_cabinet", ""),
    ],
)
def test_the_object_is_found_in_the_tasks_name(task: str, found: str) -> None:
    assert object_of(task) == found
