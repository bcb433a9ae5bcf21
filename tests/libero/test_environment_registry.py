"""Environments are found by name, and no simulator is imported before it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vlaserve_libero.environments import registry
from vlaserve_libero.environments.base import SimulatorError


def test_an_unknown_environment_lists_what_there_is() -> None:
    with pytest.raises(SimulatorError, match="'mars'; there are libero, robosuite, replay, fake"):
        registry.make("mars", "pick_and_place", 0)


def test_an_unknown_suite_lists_what_there_is() -> None:
    with pytest.raises(SimulatorError, match="no suite 'libero_object'; it has pick_and_place"):
        registry.suite("fake", "libero_object")


@pytest.mark.parametrize("task_id", [-1, 3])
def test_an_unknown_task_tells_the_range(task_id: int) -> None:
    with pytest.raises(SimulatorError, match=f"no task {task_id}; its tasks are 0 to 2"):
        registry.make("fake", "pick_and_place", task_id)


def test_an_unknown_option_lists_what_there_is() -> None:
    with pytest.raises(SimulatorError, match=r"no option 'shifts'; it has resolution, delay_s"):
        registry.make("fake", "pick_and_place", 0, shifts="x.json")


def test_options_are_those_of_the_environment() -> None:
    assert registry.options("fake") == ("resolution", "delay_s", "fail_at", "fail_init_state")
    assert registry.options("replay") == ()
    assert "allow_new_mujoco" in registry.options("libero")


def test_make_gives_the_task_of_the_suite() -> None:
    environment = registry.make("fake", "pick_and_place", 1)
    assert environment.task == registry.suite("fake", "pick_and_place").tasks[1]
    assert environment.task.prompt == "pick up the green block and place it in the basket"


# Hides the simulators from the interpreter, whether they are installed or not.
_WITHOUT_SIMULATORS = """
import importlib.util, sys
hidden = ("libero", "robosuite", "mujoco")
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in hidden else find(name, *a)
from vlaserve_libero.environments import base, registry
try:
    registry.suite(sys.argv[1], sys.argv[2])
except base.SimulatorError as error:
    print(error)
assert not set(hidden) & set(sys.modules), sorted(sys.modules)
"""


@pytest.mark.parametrize(
    ("environment", "suite"), [("libero", "libero_object"), ("robosuite", "lift")]
)
def test_a_missing_simulator_names_what_to_install(environment: str, suite: str) -> None:
    command = [sys.executable, "-c", _WITHOUT_SIMULATORS, environment, suite]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert f"pip install 'vlaserve-libero[{environment}]'" in done.stdout
    assert "docker/libero/install_simulator.sh" in done.stdout


def test_the_fake_imports_no_simulator() -> None:
    command = [sys.executable, "-c", _WITHOUT_SIMULATORS, "fake", "pick_and_place"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == ""
