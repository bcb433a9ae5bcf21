"""Which episodes a run has, and how workers share them."""

from __future__ import annotations

from typing import List

import pytest

from vlaserve_libero.environments.base import Suite, Task
from vlaserve_libero.evaluation.errors import UsageError
from vlaserve_libero.evaluation.plan import Episode, Scheduler, parse_tasks, plan_episodes


def make_suite(name: str = "s", tasks: int = 3, init_states: int = 50) -> Suite:
    return Suite(name, [Task(i, f"t{i}", f"t {i}") for i in range(tasks)], init_states, 7)


def episodes(*counts: int) -> List[Episode]:
    """As many episodes of tasks 0, 1, ... as told."""
    return [Episode("s", task, e, e) for task, count in enumerate(counts) for e in range(count)]


@pytest.mark.parametrize(
    ("text", "ids"),
    [("0-9", list(range(10))), ("0,3,5-7", [0, 3, 5, 6, 7]), ("4", [4]), (" 2 , 1-2", [1, 2])],
)
def test_task_lists(text: str, ids: List[int]) -> None:
    assert parse_tasks(text) == ids


@pytest.mark.parametrize("text", ["", "a", "1,", "3-1", "-1", "1-2-3", "1.5", "0-99999"])
def test_a_damaged_task_list_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--tasks"):
        parse_tasks(text)


def test_episodes_start_from_consecutive_init_states() -> None:
    plan = plan_episodes([make_suite("a"), make_suite("b")], [0, 2], 3, 40)
    assert [e.key for e in plan[:4]] == [("a", 0, 0), ("a", 0, 1), ("a", 0, 2), ("a", 2, 0)]
    assert [e.init_state for e in plan[:4]] == [40, 41, 42, 40]
    assert len(plan) == 12
    assert plan[6].suite == "b"


def test_all_tasks_unless_told() -> None:
    assert [e.task_id for e in plan_episodes([make_suite()], None, 1, 0)] == [0, 1, 2]


def test_init_states_are_not_used_twice() -> None:
    with pytest.raises(UsageError, match="needs 51 init states; a task of suite s has 50"):
        plan_episodes([make_suite()], None, 11, 40)
    assert len(plan_episodes([make_suite()], None, 10, 40)) == 30


def test_a_task_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="suite s has no task 3; its tasks are 0-2"):
        plan_episodes([make_suite()], [0, 3], 1, 0)


@pytest.mark.parametrize(("trials", "first"), [(0, 0), (1, -1)])
def test_impossible_counts_are_refused(trials: int, first: int) -> None:
    with pytest.raises(UsageError, match="--trials 0|--first-init-state -1"):
        plan_episodes([make_suite()], None, trials, first)


def test_a_worker_stays_with_its_task() -> None:
    scheduler = Scheduler(episodes(2, 2), keep_order=False)
    given = [scheduler.next(0) for _ in range(4)]
    assert [(e.task_id, e.episode) for e in given if e] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert scheduler.next(0) is None


def test_a_worker_stays_with_its_task_though_an_earlier_one_is_free() -> None:
    scheduler = Scheduler(episodes(2, 2), keep_order=False)
    assert [scheduler.next(w).task_id for w in (0, 1)] == [0, 1]  # type: ignore[union-attr]
    scheduler.forget(0)
    stayed = scheduler.next(1)
    assert stayed is not None
    assert stayed.task_id == 1


def test_workers_begin_with_different_tasks() -> None:
    scheduler = Scheduler(episodes(2, 2, 2), keep_order=False)
    given = [scheduler.next(worker) for worker in (0, 1, 0, 1)]
    assert [e.task_id for e in given if e] == [0, 1, 0, 1]


def test_idle_workers_help_with_the_task_that_has_most_left() -> None:
    scheduler = Scheduler(episodes(2, 5), keep_order=False)
    assert scheduler.useful_workers == 7
    assert [scheduler.next(w).task_id for w in (0, 1)] == [0, 1]  # type: ignore[union-attr]
    helped = scheduler.next(2)
    assert helped is not None
    assert (helped.task_id, helped.episode) == (1, 1)


def test_kept_order_gives_each_task_to_one_worker() -> None:
    scheduler = Scheduler(episodes(3, 1), keep_order=True)
    assert scheduler.useful_workers == 2
    first = [scheduler.next(w) for w in (0, 1)]
    assert [e.task_id for e in first if e] == [0, 1]
    assert scheduler.next(1) is None  # what is left belongs to worker 0
    rest = [scheduler.next(0) for _ in range(2)]
    assert [(e.task_id, e.episode) for e in rest if e] == [(0, 1), (0, 2)]


@pytest.mark.parametrize("keep_order", [False, True])
def test_an_episode_that_is_put_back_comes_next_and_once(keep_order: bool) -> None:
    scheduler = Scheduler(episodes(3), keep_order=keep_order)
    lost = scheduler.next(0)
    assert lost is not None
    scheduler.put_back(0, lost)
    given = [scheduler.next(1) for _ in range(4)]
    assert [e.episode if e else None for e in given] == [0, 1, 2, None]


@pytest.mark.parametrize("keep_order", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_every_episode_is_given_out_once(keep_order: bool, workers: int) -> None:
    plan = episodes(4, 1, 3)
    scheduler = Scheduler(plan, keep_order=keep_order)
    given: List[Episode] = []
    busy = list(range(workers))
    while busy:
        worker = busy.pop(0)
        episode = scheduler.next(worker)
        if episode:
            given.append(episode)
            busy.append(worker)
    assert sorted(given, key=lambda e: e.key) == plan
