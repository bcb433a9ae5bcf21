"""robosuite's Lift behind the same interface as LIBERO."""

from __future__ import annotations

import importlib.util
from typing import Iterator

import numpy as np
import pytest

from vlaserve_libero.environments import registry
from vlaserve_libero.environments.base import Environment, SimulatorError
from vlaserve_libero.policies.base import IMAGE, PROMPT, STATE, WRIST_IMAGE
from vlaserve_libero.policies.scripted import ScriptedPolicy

if importlib.util.find_spec("robosuite") is None:
    pytest.skip(
        "robosuite is not installed in this Python (docker/libero/install_simulator.sh)",
        allow_module_level=True,
    )

_ACTION = np.array([0.3, -0.2, -0.5, 0.1, 0.0, 0.2, 1.0])


@pytest.fixture(scope="module")
def lift() -> Iterator[Environment]:
    environment = registry.make("robosuite", "lift", 0, resolution=128)
    yield environment
    environment.close()


def test_observations_have_libero_s_keys(lift: Environment) -> None:
    step = lift.reset(0, frame=True)
    assert step.observation is not None
    assert set(step.observation) == {IMAGE, WRIST_IMAGE, STATE, PROMPT}
    assert step.observation[PROMPT] == "pick up the cube"
    assert step.observation[STATE].shape == (8,)
    for picture in (step.observation[IMAGE], step.observation[WRIST_IMAGE], step.frame):
        assert picture is not None
        assert picture.shape == (128, 128, 3)
        assert picture.std() > 5


def test_an_init_state_is_a_seed(lift: Environment) -> None:
    places = []
    for init_state in (3, 4, 3):
        lift.reset(init_state)
        places.append(lift.privileged()["object_pos"])
    assert np.array_equal(places[0], places[2])
    assert not np.allclose(places[0], places[1], atol=1e-3)
    with pytest.raises(SimulatorError, match="no init state 1000; there are 0 to 999"):
        lift.reset(1000)


def test_pictures_on_demand_are_those_of_rendering_always(lift: Environment) -> None:
    always = registry.make("robosuite", "lift", 0, resolution=128, render="always")
    always.reset(5)
    lift.reset(5)
    for number in range(1, 16):
        first = always.step(_ACTION, observation=True)
        second = lift.step(_ACTION, observation=number % 5 == 0)
        if number % 5 == 0:
            assert first.observation is not None
            assert second.observation is not None
            for key in (IMAGE, WRIST_IMAGE, STATE):
                assert np.array_equal(first.observation[key], second.observation[key])
    always.close()


def test_the_scripted_controller_lifts_the_cube(lift: Environment) -> None:
    policy = ScriptedPolicy()
    policy.begin_episode(lift)
    assert not lift.reset(1).done
    for _ in range(20):
        for action in policy.infer({})["actions"][:5]:
            if lift.step(action, observation=False).done:
                return
    pytest.fail("the cube was not lifted in 100 steps")


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(SimulatorError, match="no suite 'stack'; it has lift"):
        registry.suite("robosuite", "stack")
