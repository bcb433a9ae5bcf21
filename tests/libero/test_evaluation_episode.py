"""The episode loop: when it asks, what it executes, what it renders, and how it ends."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np
import numpy.typing as npt
import pytest

from vlaserve_libero.environments.base import Environment, SimulatorError, Step, Task
from vlaserve_libero.errors import VlaserveError
from vlaserve_libero.evaluation.episode import Answer, run_episode
from vlaserve_libero.evaluation.plan import Episode
from vlaserve_libero.evaluation.protocol import Rules
from vlaserve_libero.evaluation.seeds import query_seed
from vlaserve_libero.policies.base import PolicyError
from vlaserve_libero.records import EpisodeRecord

DIM = 2
EPISODE = Episode("some suite", 3, 1, 41)


class Scene(Environment):
    """Writes down what is asked of it; its observation is the number of steps so far."""

    def __init__(self, done_at: int = 10**6, fail_at: int = 10**6) -> None:
        self.task = Task(3, "the_task", "the task")
        self.calls: List[Tuple[Any, ...]] = []
        self.steps = 0
        self._done_at = done_at
        self._fail_at = fail_at

    def reset(
        self,
        init_state: int,
        *,
        seed: Optional[int] = None,
        settle_steps: int = 10,
        frame: bool = False,
    ) -> Step:
        self.calls.append(("reset", init_state, seed, settle_steps, frame))
        self.steps = 0
        # Done while it settles, which must not count.
        return Step({"step": 0}, done=True, frame=self._frame(frame))

    def step(
        self, action: npt.NDArray[np.float64], *, observation: bool, frame: bool = False
    ) -> Step:
        self.steps += 1
        self.calls.append(("step", float(action[0]), observation, frame))
        if self.steps == self._fail_at:
            raise KeyError("geom")
        seen = {"step": self.steps} if observation else None
        return Step(seen, done=self.steps >= self._done_at, frame=self._frame(frame))

    def privileged(self) -> Dict[str, npt.NDArray[np.float64]]:
        return {}

    def close(self) -> None:
        pass

    def _frame(self, wanted: bool) -> Optional[npt.NDArray[np.uint8]]:
        return np.full((2, 2, 3), self.steps, np.uint8) if wanted else None


class Counting:
    """Row r of the answer to observation s is 100 s + r."""

    def __init__(self, horizon: int = 6) -> None:
        self.horizon = horizon
        self.asked: List[Tuple[int, int, str]] = []
        self.begun = 0

    def begin_episode(self, environment: Environment) -> None:
        assert isinstance(environment, Scene)
        assert not environment.calls
        self.begun += 1

    def ask(self, observation: Mapping[str, Any], *, seed: int, request_id: str) -> Answer:
        self.asked.append((observation["step"], seed, request_id))
        first = 100.0 * observation["step"] + np.arange(self.horizon)
        return Answer(
            np.stack([first] * DIM, axis=1), latency_ms=5.0, server_ms=4.0, interruptions=1
        )


class Frames:
    def __init__(self) -> None:
        self.steps: List[int] = []

    def add(self, frame: npt.NDArray[np.uint8]) -> None:
        self.steps.append(int(frame[0, 0, 0]))


def run(
    scene: Scene, policy: Any, *, max_steps: int = 8, replan_steps: int = 3, **options: Any
) -> EpisodeRecord:
    return run_episode(
        scene,
        policy,
        EPISODE,
        reset=lambda frame: scene.reset(41, seed=5, settle_steps=10, frame=frame),
        rules=Rules(10, replan_steps, max_steps, "openpi"),
        action_dim=DIM,
        run_seed=7,
        **options,
    )


def test_the_first_rows_of_each_chunk_are_executed() -> None:
    scene, policy = Scene(), Counting()
    record = run(scene, policy)
    assert [call[1] for call in scene.calls[1:]] == [0, 1, 2, 300, 301, 302, 600, 601]
    assert [asked[0] for asked in policy.asked] == [0, 3, 6]
    assert (record.outcome, record.steps, record.queries) == ("failure", 8, 3)
    assert policy.begun == 1


def test_only_what_is_asked_about_is_rendered() -> None:
    scene = Scene()
    run(scene, Counting(), max_steps=9)
    # Not after the last step: nobody asks any more.
    assert [call[2] for call in scene.calls[1:]] == [False, False, True] * 2 + [False] * 3
    assert not any(call[3] for call in scene.calls[1:])
    assert scene.calls[0] == ("reset", 41, 5, 10, False)


def test_success_ends_the_episode_at_once() -> None:
    scene, policy = Scene(done_at=5), Counting()
    record = run(scene, policy)
    assert (record.outcome, record.steps, record.queries) == ("success", 5, 2)
    assert scene.steps == 5


def test_success_in_the_last_step_counts() -> None:
    assert run(Scene(done_at=8), Counting()).outcome == "success"
    assert run(Scene(done_at=9), Counting()).outcome == "failure"


def test_the_record_says_what_happened() -> None:
    record = run(Scene(done_at=4), Counting())
    assert record.key == ("some suite", 3, 1)
    assert (record.task, record.prompt, record.init_state, record.seed) == (
        "the_task", "the task", 41, 7,
    )  # fmt: skip
    assert record.actions == [[0, 0], [1, 1], [2, 2], [300, 300]]
    assert record.first_chunk == [[float(r), float(r)] for r in range(6)]
    assert (record.latency_ms, record.server_ms) == ([5.0, 5.0], [4.0, 4.0])
    assert record.interruptions == 2
    assert record.error is None
    assert 0 <= record.reset_s <= record.episode_s
    assert record.started_at.endswith("+00:00")


def test_queries_have_their_own_seeds_and_ids() -> None:
    policy = Counting()
    run(Scene(), policy)
    assert [asked[1] for asked in policy.asked] == [
        query_seed(7, "some suite", 3, 1, query) for query in range(3)
    ]
    assert [asked[2] for asked in policy.asked] == [f"some_suite/3/1/{q}" for q in range(3)]


def test_an_exception_of_the_simulator_is_an_error_not_a_failure() -> None:
    record = run(Scene(fail_at=5), Counting())
    assert (record.outcome, record.error) == ("error", "KeyError: 'geom'")
    assert (record.steps, record.queries) == (4, 2)


def test_an_exception_of_the_reset_is_an_error() -> None:
    scene = Scene()

    def reset(frame: bool) -> Step:
        raise SimulatorError("no such mesh")

    record = run_episode(
        scene, Counting(), EPISODE, reset=reset, rules=Rules(10, 3, 8, "openpi"),
        action_dim=DIM, run_seed=7,
    )  # fmt: skip
    assert (record.outcome, record.error, record.steps) == ("error", "no such mesh", 0)


def test_an_exception_of_the_policy_ends_the_run() -> None:
    class Failing(Counting):
        def ask(self, observation: Mapping[str, Any], *, seed: int, request_id: str) -> Answer:
            raise VlaserveError("gone")

    with pytest.raises(VlaserveError, match="gone"):
        run(Scene(), Failing())


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros((6, 3)), r"shape \[6, 3\]; the environment takes \[horizon, 2\]"),
        (np.zeros(6), r"shape \[6\]"),
        (np.zeros((2, 2)), "chunks have 2 actions, but 3 .* use --replan-steps 2 or less"),
        (np.full((6, 2), np.nan), "not finite"),
    ],
)
def test_answers_that_cannot_be_executed_end_the_run(
    actions: npt.NDArray[np.float64], message: str
) -> None:
    class Odd(Counting):
        def ask(self, observation: Mapping[str, Any], *, seed: int, request_id: str) -> Answer:
            return Answer(actions, latency_ms=1.0)

    scene = Scene()
    with pytest.raises(PolicyError, match=message):
        run(scene, Odd())
    assert scene.steps == 0


def test_frames_are_rendered_for_a_video_only_where_it_has_them() -> None:
    scene, frames = Scene(), Frames()
    run(scene, Counting(), frames=frames, frame_stride=2)
    assert frames.steps == [0, 2, 4, 6, 8]
    assert [call[3] for call in scene.calls[1:]] == [False, True] * 4
    assert scene.calls[0][4] is True
