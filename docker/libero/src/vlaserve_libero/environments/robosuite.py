"""robosuite's own Lift task: a Panda arm lifts a cube. Its assets come with the Python package.

The interface, the observation's keys and the rotation of pictures are the same as in LIBERO, so an
evaluation can be tried where LIBERO's assets are not to be had.
"""

from __future__ import annotations

from typing import Dict, Optional

import numpy as np
import numpy.typing as npt

from vlaserve_libero.environments.base import SimulatorError, Step, Suite, Task
from vlaserve_libero.environments.checks import checked_init_state
from vlaserve_libero.environments.robosuite_base import (
    ACTION_DIM,
    RobosuiteEnvironment,
    prepare_opengl,
    require,
    simulating,
)

SUITE = "lift"
INIT_STATES = 1000
_TASK = Task(0, "pick_up_the_cube", "pick up the cube")
_TARGET_HEIGHT = 0.1  # metres above the cube's first place; robosuite asks for 0.04 above the table


def suite(name: str) -> Suite:
    """The one suite of this environment.

    Raises:
        SimulatorError: Another one was asked for, or robosuite is not installed.
    """
    if name != SUITE:
        raise SimulatorError(f"environment 'robosuite' has no suite {name!r}; it has {SUITE}")
    require("robosuite", "robosuite")
    return Suite(SUITE, [_TASK], INIT_STATES, ACTION_DIM)


class LiftEnvironment(RobosuiteEnvironment):
    """robosuite's Lift with the controller OSC_POSE, 20 control steps per second.

    An init state is a seed: cube and arm are placed by numpy's global generator, which
    every reset seeds.

    Args:
        suite_name: "lift".
        task_id: 0.
        resolution: Height and width of the pictures.
        render: As in LiberoEnvironment.
    """

    def __init__(
        self, suite_name: str, task_id: int, *, resolution: int = 256, render: str = "needed"
    ) -> None:
        super().__init__(suite(suite_name).tasks[task_id], resolution=resolution, render=render)
        prepare_opengl()
        with simulating("starting robosuite's Lift"):
            import robosuite
            from robosuite.controllers import load_controller_config

            simulation = robosuite.make(
                "Lift",
                robots="Panda",
                controller_configs=load_controller_config(default_controller="OSC_POSE"),
                use_object_obs=True,
                **self.camera_arguments(),
            )
        self.adopt(simulation)
        self._target: Optional[npt.NDArray[np.float64]] = None

    def reset(
        self,
        init_state: int,
        *,
        seed: Optional[int] = None,
        settle_steps: int = 10,
        frame: bool = False,
    ) -> Step:
        """See Environment. The init state fixes everything: a seed has no effect."""
        self.check_open()
        checked_init_state(init_state, INIT_STATES)
        with simulating("the simulator's reset"):
            np.random.seed(init_state)
            self.look_at(observation=settle_steps == 0, frame=frame and settle_steps == 0)
            self._raw = self._simulation.reset()
            self._target = np.array(self._raw["cube_pos"]) + np.array([0.0, 0.0, _TARGET_HEIGHT])
            self.settle(settle_steps, frame=frame)
        return self.result(observation=True, frame=frame)

    def privileged(self) -> Dict[str, npt.NDArray[np.float64]]:
        """See Environment. The target is a point above the cube's first place."""
        sensors = self.sensors()
        assert self._target is not None
        return {
            "eef_pos": np.array(sensors["robot0_eef_pos"], np.float64),
            "object_pos": np.array(sensors["cube_pos"], np.float64),
            "target_pos": self._target.copy(),
        }


ENVIRONMENT = LiftEnvironment
