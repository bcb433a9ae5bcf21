"""Finds environments by name. A simulator is imported only when one of its suites is asked for."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any, Dict, Tuple

from vlaserve_libero.environments.base import Environment, SimulatorError, Suite

# Name of the environment -> its module, which has suite(name) -> Suite and ENVIRONMENT, a class
# that is made from (suite, task_id, **options).
_MODULES: Dict[str, str] = {
    "libero": "vlaserve_libero.environments.libero",
    "robosuite": "vlaserve_libero.environments.robosuite",
    "replay": "vlaserve_libero.environments.replay",
    "fake": "vlaserve_libero.environments.fake",
}

ENVIRONMENTS: Tuple[str, ...] = tuple(_MODULES)


def _module(environment: str) -> ModuleType:
    if environment not in _MODULES:
        raise SimulatorError(
            f"unknown environment {environment!r}; there are {', '.join(ENVIRONMENTS)}"
        )
    return importlib.import_module(_MODULES[environment])


def _option_names(module: ModuleType) -> Tuple[str, ...]:
    parameters = inspect.signature(module.ENVIRONMENT).parameters.values()
    return tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)


def options(environment: str) -> Tuple[str, ...]:
    """The names of the options that `make` takes for an environment.

    Raises:
        SimulatorError: No such environment.
    """
    return _option_names(_module(environment))


def suite(environment: str, suite_name: str) -> Suite:
    """The tasks of a suite.

    Args:
        environment: One of ENVIRONMENTS.
        suite_name: The suite's name; for "replay" the folder with the recorded observations.

    Raises:
        SimulatorError: No such environment or suite (the message lists what there is), or its
            simulator is not installed (the message says how to install it).
    """
    found = _module(environment).suite(suite_name)
    assert isinstance(found, Suite)
    return found


def make(environment: str, suite_name: str, task_id: int, **options: Any) -> Environment:
    """An environment for one task.

    Args:
        environment: One of ENVIRONMENTS.
        suite_name: As for `suite`.
        task_id: Index of the task in the suite.
        options: Of the environment, see `options` and the class in its module.

    Raises:
        SimulatorError: As `suite`; or no such task or option; or the simulator cannot start.
    """
    module = _module(environment)
    tasks = module.suite(suite_name).tasks
    if not 0 <= task_id < len(tasks):
        raise SimulatorError(
            f"suite {suite_name!r} has no task {task_id}; its tasks are 0 to {len(tasks) - 1}"
        )
    known = _option_names(module)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise SimulatorError(
            f"environment {environment!r} has no option {unknown[0]!r}; "
            f"it has {', '.join(known) or 'none'}"
        )
    made = module.ENVIRONMENT(suite_name, task_id, **options)
    assert isinstance(made, Environment)
    return made
