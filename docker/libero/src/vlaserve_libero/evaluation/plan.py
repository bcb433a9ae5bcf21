"""Which episodes a run consists of, and which worker runs which."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Sequence, Set, Tuple

from vlaserve_libero.environments.base import Suite
from vlaserve_libero.evaluation.errors import UsageError
from vlaserve_libero.records import EpisodeKey

TaskKey = Tuple[str, int]  # (suite, task_id)


@dataclass(frozen=True)
class Episode:
    """One episode to run."""

    suite: str
    task_id: int
    episode: int  # 0, 1, ...: trial of this task
    init_state: int

    @property
    def key(self) -> EpisodeKey:
        """As EpisodeRecord.key."""
        return (self.suite, self.task_id, self.episode)

    @property
    def task(self) -> TaskKey:
        """The task that an environment is made for."""
        return (self.suite, self.task_id)

    def __str__(self) -> str:
        return f"{self.suite} task {self.task_id} episode {self.episode}"


def parse_tasks(text: str) -> List[int]:
    """Task ids from "0-9" or "0,3,5-7": ascending, each once.

    Raises:
        UsageError: The text is not such a list.
    """
    found: Set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if not match:
            raise UsageError(f"--tasks {text}: expected ids and ranges such as 0-9 or 0,3,5-7")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UsageError(f"--tasks {text}: {first}-{last} counts backwards")
        if last > 9999:
            raise UsageError(f"--tasks {text}: no suite has a task {last}")
        found.update(range(first, last + 1))
    return sorted(found)


def plan_episodes(
    suites: Sequence[Suite], tasks: Optional[Sequence[int]], trials: int, first_init_state: int
) -> List[Episode]:
    """All episodes of a run, task by task.

    Episode e of a task starts from init state `first_init_state + e`. Init states are not used
    twice: with a deterministic policy the second use would repeat the first, not add a trial.

    Args:
        suites: The suites, in the order of the run.
        tasks: Task ids, the same for each suite; None: all.
        trials: Episodes per task.
        first_init_state: Init state of episode 0.

    Raises:
        UsageError: A suite lacks one of the tasks or init states.
    """
    if trials < 1:
        raise UsageError(f"--trials {trials}: expected 1 or more")
    if first_init_state < 0:
        raise UsageError(f"--first-init-state {first_init_state}: expected 0 or more")
    episodes = []
    for suite in suites:
        count = len(suite.tasks)
        for task_id in range(count) if tasks is None else tasks:
            if task_id >= count:
                raise UsageError(
                    f"--tasks: suite {suite.name} has no task {task_id}; its tasks are "
                    f"0-{count - 1}"
                )
            if first_init_state + trials > suite.init_states:
                raise UsageError(
                    f"--trials {trials} from --first-init-state {first_init_state} needs "
                    f"{first_init_state + trials} init states; a task of suite {suite.name} has "
                    f"{suite.init_states}"
                )
            for trial in range(trials):
                episodes.append(Episode(suite.name, task_id, trial, first_init_state + trial))
    return episodes


class Scheduler:
    """Hands out episodes so that workers seldom change their task.

    A worker makes an environment per task, which costs seconds. It goes on with its task while
    that has episodes; then it takes a task that nobody has begun; then, unless order must be kept,
    it helps with the task that has most episodes left.

    Args:
        episodes: What is still to be run, each task's episodes in order.
        keep_order: Each task belongs to one worker, which runs its episodes in order.
    """

    def __init__(self, episodes: Iterable[Episode], *, keep_order: bool) -> None:
        self._keep_order = keep_order
        self._waiting: Dict[TaskKey, List[Episode]] = {}
        for episode in episodes:
            self._waiting.setdefault(episode.task, []).append(episode)
        self._task_of: Dict[int, TaskKey] = {}  # by worker

    @property
    def useful_workers(self) -> int:
        """More workers than this would have nothing to do."""
        if self._keep_order:
            return len(self._waiting)
        return sum(len(waiting) for waiting in self._waiting.values())

    def next(self, worker: int) -> Optional[Episode]:
        """The next episode of a worker; None: there is nothing left for it."""
        task = self._choose(worker)
        if task is None:
            self.forget(worker)
            return None
        self._task_of[worker] = task
        waiting = self._waiting[task]
        episode = waiting.pop(0)
        if not waiting:
            del self._waiting[task]
        return episode

    def put_back(self, worker: int, episode: Episode) -> None:
        """Returns the episode that a worker could not run; its task is free for others."""
        self.forget(worker)
        self._waiting.setdefault(episode.task, []).insert(0, episode)

    def forget(self, worker: int) -> None:
        """The worker no longer has an environment."""
        self._task_of.pop(worker, None)

    def _choose(self, worker: int) -> Optional[TaskKey]:
        own = self._task_of.get(worker)
        if own in self._waiting:
            return own
        begun = {task for other, task in self._task_of.items() if other != worker}
        for task in self._waiting:
            if task not in begun:
                return task
        if self._keep_order or not self._waiting:
            return None
        return max(self._waiting, key=lambda task: len(self._waiting[task]))
