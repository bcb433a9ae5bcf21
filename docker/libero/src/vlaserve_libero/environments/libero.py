"""The LIBERO benchmark in its own simulator, stepped as openpi's LIBERO client does."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Optional, Union

import numpy as np
import numpy.typing as npt

from vlaserve_libero.environments import libero_files as files
from vlaserve_libero.environments.base import SimulatorError, Step, Suite, Task
from vlaserve_libero.environments.checks import checked_init_state
from vlaserve_libero.environments.robosuite_base import (
    ACTION_DIM,
    RobosuiteEnvironment,
    prepare_opengl,
    simulating,
)

_PLACEMENT_ATTEMPTS = 100


def suite(name: str) -> Suite:
    """The tasks of libero_spatial, libero_object, libero_goal, libero_10 or libero_90.

    Raises:
        SimulatorError: LIBERO is not installed, or has no such suite.
    """
    root = files.package_root()
    suites = files.task_map(root)
    if name not in suites:
        raise SimulatorError(
            f"environment 'libero' has no suite {name!r}; installed are {', '.join(suites)}"
        )
    tasks = [Task(i, n, files.prompt_of(n)) for i, n in enumerate(suites[name])]
    init_states = min(len(files.init_states(root, name, task.name)) for task in tasks)
    return Suite(name, tasks, init_states, ACTION_DIM)


class LiberoEnvironment(RobosuiteEnvironment):
    """One task of LIBERO: a Panda arm, 20 control steps per second.

    An action is seven numbers in [-1, 1]: motion of the end effector's goal (1 is 5 cm), its
    rotation as axis-angle (1 is 0.5 rad), and the gripper (-1 open, 1 closed).

    The poses of fixtures (cabinet, stove) are no part of an init state. LIBERO draws them at each
    reset from numpy's global generator, which this class therefore seeds.

    Args:
        suite_name: A LIBERO suite.
        task_id: Index of the task.
        resolution: Height and width of the pictures.
        render: "needed": cameras render only what is asked for, with the same pixels as "always",
            in every step; "never": observations without pictures, and no OpenGL.
        allow_new_mujoco: Accept MuJoCo after 3.3.2, which renders darker pictures.
        shifts: A JSON file with offsets of the task's object from its init states, see
            libero_files.read_shifts. Every init state that is used must be in it.
        seed: Of the generator, until a reset gives another one. openpi's is 7.
    """

    def __init__(
        self,
        suite_name: str,
        task_id: int,
        *,
        resolution: int = 256,
        render: str = "needed",
        allow_new_mujoco: bool = False,
        shifts: Union[str, Path, None] = None,
        seed: int = 7,
    ) -> None:
        super().__init__(suite(suite_name).tasks[task_id], resolution=resolution, render=render)
        root = files.package_root()
        files.check_mujoco(allow_new=allow_new_mujoco)
        files.assets_folder(root)
        files.write_config(root)
        self._init_states = files.init_states(root, suite_name, self.task.name)
        self._shifts_file = shifts
        self._shifts = None if shifts is None else files.read_shifts(Path(shifts))
        problem = root / "bddl_files" / suite_name / f"{self.task.name}.bddl"
        if not problem.is_file():
            raise SimulatorError(f"LIBERO's task file {problem} is missing")
        prepare_opengl()
        try:
            with simulating(f"starting LIBERO's task {self.task.name!r}"):
                from libero.libero.envs.env_wrapper import ControlEnv

                self._control = ControlEnv(bddl_file_name=str(problem), **self.camera_arguments())
        except SimulatorError as error:
            hint = files.explain_missing_asset(error)
            raise SimulatorError(f"{error}{hint}") from error.__cause__
        self.adopt(self._control.env)
        self._control.seed(seed)

    def reset(
        self,
        init_state: int,
        *,
        seed: Optional[int] = None,
        settle_steps: int = 10,
        frame: bool = False,
    ) -> Step:
        """See Environment."""
        self.check_open()
        state = self._initial(checked_init_state(init_state, len(self._init_states)))
        with simulating("the simulator's reset"):
            if seed is not None:
                self._control.seed(seed)
            # The init state alone would leave the last episode's goal of the controller, and its
            # command to the gripper, behind.
            self.look_at(observation=False, frame=False)
            self._rebuild()
            if self._shifts is not None:
                self._shift(state, *self._shifts[self.task.task_id, init_state])
            self.look_at(observation=settle_steps == 0, frame=frame and settle_steps == 0)
            self._raw = self._control.set_init_state(state)
            self.settle(settle_steps, frame=frame)
        return self.result(observation=True, frame=frame)

    def privileged(self) -> Dict[str, npt.NDArray[np.float64]]:
        """See Environment. The object and its target are those of interest in the task's file."""
        sensors = self.sensors()
        target = self._control.obj_of_interest[-1].replace("_contain_region", "")
        names = {
            "eef_pos": "robot0_eef_pos",
            "object_pos": f"{self._control.obj_of_interest[0]}_pos",
            "target_pos": f"{target}_pos",
        }
        if not all(name in sensors for name in names.values()):
            return {}
        return {key: np.array(sensors[name], np.float64) for key, name in names.items()}

    def _initial(self, init_state: int) -> npt.NDArray[np.float64]:
        if self._shifts is not None and (self.task.task_id, init_state) not in self._shifts:
            raise SimulatorError(
                f"option shifts: {self._shifts_file} has no entry for task {self.task.task_id}, "
                f"init state {init_state}"
            )
        state: npt.NDArray[np.float64] = self._init_states[init_state].copy()
        return state

    def _rebuild(self) -> None:
        # Not ControlEnv.reset: it repeats for ever whatever goes wrong.
        from robosuite.utils.errors import RandomizationError

        for attempt in range(1, _PLACEMENT_ATTEMPTS + 1):
            try:
                self._simulation.reset()
                return
            except RandomizationError:
                if attempt == _PLACEMENT_ATTEMPTS:
                    raise

    def _shift(self, state: npt.NDArray[np.float64], x: float, y: float) -> None:
        """Moves the task's object in a flattened state, whose first number is the time."""
        name = f"{self._control.obj_of_interest[0]}_joint0"
        model = self._simulation.sim.model
        if name not in model.joint_names:
            raise SimulatorError(f"option shifts: task {self.task.name!r} has no joint {name!r}")
        first, last = model.get_joint_qpos_addr(name)
        if last - first != 7:
            raise SimulatorError(f"option shifts: joint {name!r} is not free, it cannot be moved")
        state[1 + first] += x
        state[2 + first] += y


ENVIRONMENT = LiberoEnvironment
