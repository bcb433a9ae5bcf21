"""The toy world: deterministic, solvable, and it fails where it is told to."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pytest

from vlaserve_libero.environments import registry
from vlaserve_libero.environments.base import Environment, SimulatorError, Step
from vlaserve_libero.environments.fake import FakeEnvironment
from vlaserve_libero.policies.base import IMAGE, PROMPT, STATE, WRIST_IMAGE

_STILL = np.array([0.0, 0, 0, 0, 0, 0, -1])


def _frame(step: Step) -> npt.NDArray[np.uint8]:
    assert step.frame is not None
    return step.frame


@pytest.fixture
def environment() -> Environment:
    return registry.make("fake", "pick_and_place", 0, resolution=64)


def test_an_observation_has_openpis_keys(environment: Environment) -> None:
    observation = environment.reset(0).observation
    assert observation is not None
    assert set(observation) == {IMAGE, WRIST_IMAGE, STATE, PROMPT}
    for key in (IMAGE, WRIST_IMAGE):
        assert observation[key].shape == (64, 64, 3)
        assert observation[key].dtype == np.uint8
    assert observation[STATE].shape == (8,)
    assert observation[STATE].dtype == np.float64


def test_only_what_is_asked_for_is_returned(environment: Environment) -> None:
    assert environment.reset(0).frame is None
    nothing = environment.step(_STILL, observation=False)
    assert nothing.observation is None
    assert nothing.frame is None
    both = environment.step(_STILL, observation=True, frame=True)
    assert both.observation is not None
    assert both.frame is not None
    assert np.array_equal(both.frame, both.observation[IMAGE])


def test_an_episode_depends_on_init_state_and_seed_alone() -> None:
    def frames(init_state: int, seed: int) -> npt.NDArray[np.uint8]:
        environment = FakeEnvironment("pick_and_place", 0, resolution=64)
        environment.reset(13, seed=99)
        environment.step(np.ones(7), observation=False)
        return _frame(environment.reset(init_state, seed=seed, frame=True))

    assert np.array_equal(frames(3, 7), frames(3, 7))
    assert not np.array_equal(frames(3, 7), frames(4, 7))
    assert not np.array_equal(frames(3, 7), frames(3, 8))


def test_without_a_seed_the_generator_goes_on(environment: Environment) -> None:
    frames = [_frame(environment.reset(0, seed=s, frame=True)) for s in (7, None, None, 7)]
    assert not np.array_equal(frames[1], frames[2])
    assert np.array_equal(frames[0], frames[3])


def test_the_hand_moves_by_the_action_and_the_picture_shows_it(environment: Environment) -> None:
    before = environment.reset(0, frame=True)
    position = environment.privileged()["eef_pos"]
    for _ in range(5):
        after = environment.step(np.array([0, 1.0, 0, 0, 0, 0, -1]), observation=True, frame=True)
    moved = environment.privileged()["eef_pos"] - position
    assert np.allclose(moved, [0, 5 * 0.0125, 0])
    assert after.observation is not None
    assert np.allclose(after.observation[STATE][:3], position + moved)
    assert not np.array_equal(_frame(after), _frame(before))


def test_a_closed_gripper_carries_the_block_and_an_open_one_drops_it(
    environment: Environment,
) -> None:
    environment.reset(0)
    for gripper, phase in ((-1, "reach"), (1, "close"), (1, "carry"), (-1, "drop")):
        for _ in range(60):
            at = environment.privileged()
            goal = {
                "reach": at["object_pos"],
                "close": at["eef_pos"],
                "carry": at["target_pos"] + [0, 0, 0.1],
                "drop": at["eef_pos"],
            }[phase]
            action = np.zeros(7)
            action[:3] = np.clip((goal - at["eef_pos"]) / 0.0125, -1, 1)
            action[6] = gripper
            step = environment.step(action, observation=False)
        assert step.done is (phase == "drop")
    position = environment.privileged()["object_pos"]
    assert np.allclose(position[:2], environment.privileged()["target_pos"][:2])
    assert position[2] == 0.02


@pytest.mark.parametrize(
    ("action", "message"),
    [(np.zeros(6), r"shape \(6,\), expected \(7,\)"), (np.full(7, np.nan), "not finite")],
)
def test_a_bad_action_is_refused(
    environment: Environment, action: npt.NDArray[np.float64], message: str
) -> None:
    environment.reset(0)
    with pytest.raises(SimulatorError, match=message):
        environment.step(action, observation=False)


@pytest.mark.parametrize("init_state", [-1, 50])
def test_an_unknown_init_state_is_refused(environment: Environment, init_state: int) -> None:
    with pytest.raises(SimulatorError, match=f"no init state {init_state}; there are 0 to 49"):
        environment.reset(init_state)


def test_it_fails_where_it_is_told_to_and_goes_on_after_a_reset() -> None:
    environment = FakeEnvironment("pick_and_place", 0, fail_at=2, fail_init_state=1)
    environment.reset(1)
    environment.step(_STILL, observation=False)
    with pytest.raises(SimulatorError, match="injected fault at step 2"):
        environment.step(_STILL, observation=False)
    with pytest.raises(SimulatorError, match="before reset"):
        environment.step(_STILL, observation=False)
    environment.reset(0)
    for _ in range(5):
        environment.step(_STILL, observation=False)


def test_a_delay_is_kept() -> None:
    environment = FakeEnvironment("pick_and_place", 0, delay_s=0.02)
    environment.reset(0)
    began = time.monotonic()
    for _ in range(3):
        environment.step(_STILL, observation=False)
    assert time.monotonic() - began >= 0.06


def test_a_fault_of_one_init_state_needs_its_step() -> None:
    with pytest.raises(SimulatorError, match="fail_init_state has no meaning without fail_at"):
        FakeEnvironment("pick_and_place", 0, fail_init_state=1)


def test_nothing_works_after_close(environment: Environment) -> None:
    environment.reset(0)
    environment.close()
    with pytest.raises(SimulatorError, match="closed"):
        environment.step(_STILL, observation=False)
    with pytest.raises(SimulatorError, match="closed"):
        environment.reset(0)
