"""What the environments on top of robosuite share: cameras on demand, observations, actions."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import math
import os
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Set, Tuple

import numpy as np
import numpy.typing as npt

from vlaserve_libero.environments.base import Environment, SimulatorError, Step, Task
from vlaserve_libero.environments.checks import checked_action
from vlaserve_libero.policies.base import IMAGE, PROMPT, STATE, WRIST_IMAGE

# When cameras render: for those observations and frames that are asked for, in every step (as
# LIBERO does by itself), or never (no OpenGL; observations then have no pictures).
RENDER = ("needed", "always", "never")

ACTION_DIM = 7
CAMERAS = {IMAGE: "agentview", WRIST_IMAGE: "robot0_eye_in_hand"}
DUMMY_ACTION = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0)  # no motion, gripper open


def prepare_opengl() -> None:
    """Chooses EGL, which needs no display, unless the user has chosen; before importing MuJoCo."""
    chosen = os.environ.setdefault("MUJOCO_GL", "egl")
    if chosen in ("egl", "osmesa"):
        os.environ.setdefault("PYOPENGL_PLATFORM", chosen)


def require(package: str, extra: str) -> None:
    """Checks that a simulator's package can be imported.

    Raises:
        SimulatorError: It is not installed; the message says how to install it.
    """
    if importlib.util.find_spec(package) is None:
        raise SimulatorError(
            f"Python package {package!r} is not installed in this interpreter; run "
            f"`pip install 'vlaserve-libero[{extra}]'`, or, without PyTorch, "
            "docker/libero/install_simulator.sh"
        )


@contextlib.contextmanager
def simulating(what: str) -> Iterator[None]:
    """Turns whatever a simulator raises into a SimulatorError: it raises errors of all kinds."""
    try:
        yield
    except SimulatorError:
        raise
    except Exception as error:
        raise SimulatorError(f"{what} failed: {type(error).__name__}: {error}") from error


def axis_angle(quaternion: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """robosuite's rotation vector of a quaternion, as openpi's LIBERO client computes it.

    Args:
        quaternion: x, y, z, w. Its sign matters: angles go up to 2 pi.

    Returns:
        float64 [3], radians.
    """
    x, y, z, w = np.asarray(quaternion, dtype=np.float64)
    w = min(1.0, max(-1.0, w))
    sine = math.sqrt(1.0 - w * w)
    if sine == 0.0:
        return np.zeros(3)
    vector: npt.NDArray[np.float64] = np.array([x, y, z]) * 2.0 * math.acos(w) / sine
    return vector


def rotated(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The picture turned by 180 degrees, as policies for LIBERO are trained on it."""
    return np.ascontiguousarray(picture[::-1, ::-1])


def state_vector(raw: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """A policy's state, float64 [8]: end effector xyz, axis-angle, two fingers."""
    parts = [raw["robot0_eef_pos"], axis_angle(raw["robot0_eef_quat"]), raw["robot0_gripper_qpos"]]
    vector: npt.NDArray[np.float64] = np.concatenate(parts)
    return vector


class RobosuiteEnvironment(Environment):
    """Base of an environment that runs a robosuite simulation with a Panda arm and OSC_POSE.

    robosuite reads all sensors at one instant of each control step, one physics step before its
    end, so a picture that is rendered afterwards would differ. Here the cameras stay sensors, but
    one that nobody will look at answers without rendering.
    """

    def __init__(self, task: Task, *, resolution: int, render: str) -> None:
        if resolution < 1:
            raise SimulatorError(f"option resolution is {resolution}, expected 1 or more")
        if render not in RENDER:
            raise SimulatorError(
                f"option render is {render!r}, expected one of {', '.join(RENDER)}"
            )
        self.task = task
        self._render = render
        self._resolution = resolution
        self._simulation: Any = None  # robosuite's environment
        self._raw: Optional[Mapping[str, Any]] = None  # the last step's sensors
        self._wanted: Set[str] = set()
        self._rendered: Set[str] = set()

    def camera_arguments(self) -> Dict[str, Any]:
        """Arguments for the constructor of robosuite's environment."""
        cameras = self._render != "never"
        return {
            "camera_names": list(CAMERAS.values()),
            "camera_heights": self._resolution,
            "camera_widths": self._resolution,
            "use_camera_obs": cameras,
            "has_renderer": False,
            "has_offscreen_renderer": cameras,
            "control_freq": 20,
            "ignore_done": True,  # the caller limits the steps
        }

    def adopt(self, simulation: Any) -> None:
        """Takes over robosuite's environment; its cameras are on demand from its next reset."""
        self._simulation = simulation
        if self._render != "needed":
            return
        create = simulation._create_camera_sensors

        @functools.wraps(create)
        def on_demand(camera: str, *args: Any, **kwargs: Any) -> Tuple[Any, Any]:
            sensors, names = create(camera, *args, **kwargs)
            return [self._on_demand(camera, sensor) for sensor in sensors], names

        simulation._create_camera_sensors = on_demand

    def _on_demand(self, camera: str, sensor: Callable[[Any], Any]) -> Callable[[Any], Any]:
        blank = np.zeros((self._resolution, self._resolution, 3), np.uint8)

        @functools.wraps(sensor)
        def look(cache: Any) -> Any:
            if camera not in self._wanted:
                return blank
            self._rendered.add(camera)
            return sensor(cache)

        return look

    def look_at(self, *, observation: bool, frame: bool) -> None:
        """Says which pictures of the simulation's next step are needed.

        Raises:
            SimulatorError: A frame without cameras.
        """
        if frame and self._render == "never":
            raise SimulatorError("a frame was asked for, but option render is 'never'")
        self._rendered.clear()
        self._wanted.clear()
        if observation:
            self._wanted.update(CAMERAS.values())
        elif frame:
            self._wanted.add(CAMERAS[IMAGE])

    def settle(self, steps: int, *, frame: bool) -> None:
        """Steps without motion, the last of them with pictures."""
        for remaining in reversed(range(steps)):
            self.look_at(observation=remaining == 0, frame=frame and remaining == 0)
            self._raw = self.run(DUMMY_ACTION)

    def run(self, action: Any) -> Mapping[str, Any]:
        """One control step of the simulation; returns its sensors."""
        sensors: Mapping[str, Any] = self._simulation.step(action)[0]
        return sensors

    def step(
        self, action: npt.NDArray[np.float64], *, observation: bool, frame: bool = False
    ) -> Step:
        """See Environment. The controller clips actions to [-1, 1]."""
        self.check_open()
        if self._raw is None:
            raise SimulatorError("step was called before reset")
        checked = checked_action(action, ACTION_DIM)
        self.look_at(observation=observation, frame=frame)
        with simulating("the simulator's step"):
            self._raw = self.run(checked)
        return self.result(observation=observation, frame=frame)

    def result(self, *, observation: bool, frame: bool) -> Step:
        """The last step as a Step."""
        with simulating("the success test"):
            done = bool(self._simulation._check_success())
        return Step(
            observation=self._observe() if observation else None,
            done=done,
            frame=self._picture(CAMERAS[IMAGE]) if frame else None,
        )

    def sensors(self) -> Mapping[str, Any]:
        """The sensors' values of the last step.

        Raises:
            SimulatorError: There was no reset yet.
        """
        self.check_open()
        if self._raw is None:
            raise SimulatorError("the environment has no state before reset")
        return self._raw

    def _observe(self) -> Dict[str, Any]:
        observation: Dict[str, Any] = {
            STATE: state_vector(self.sensors()),
            PROMPT: self.task.prompt,
        }
        if self._render != "never":
            for key, camera in CAMERAS.items():
                observation[key] = self._picture(camera)
        return observation

    def _picture(self, camera: str) -> npt.NDArray[np.uint8]:
        if self._render == "needed" and camera not in self._rendered:
            raise SimulatorError(f"robosuite did not read camera {camera!r} in the last step")
        picture: npt.NDArray[np.uint8] = self.sensors()[f"{camera}_image"]
        return rotated(picture)

    def check_open(self) -> None:
        """Raises SimulatorError after close."""
        if self._simulation is None:
            raise SimulatorError("the environment is closed")

    def close(self) -> None:
        """See Environment."""
        if self._simulation is not None:
            simulation, self._simulation, self._raw = self._simulation, None, None
            with simulating("closing the simulator"):
                simulation.close()
