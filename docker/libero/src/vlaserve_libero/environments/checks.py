"""Checks that every environment makes of what it is given."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vlaserve_libero.environments.base import SimulatorError


def checked_action(action: npt.ArrayLike, action_dim: int) -> npt.NDArray[np.float64]:
    """An action as float64 [action_dim].

    Raises:
        SimulatorError: It has another shape, or a number that is not finite.
    """
    array = np.asarray(action, dtype=np.float64)
    if array.shape != (action_dim,):
        raise SimulatorError(f"action has shape {array.shape}, expected ({action_dim},)")
    if not np.isfinite(array).all():
        raise SimulatorError(f"action is not finite: {array.tolist()}")
    return array


def checked_init_state(init_state: int, count: int) -> int:
    """An index of one of `count` init states.

    Raises:
        SimulatorError: There is no such init state.
    """
    if not 0 <= init_state < count:
        raise SimulatorError(f"no init state {init_state}; there are 0 to {count - 1}")
    return init_state
