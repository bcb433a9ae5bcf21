"""Files of an installed LIBERO: found and checked without importing it.

Importing `libero.libero` asks a question on stdin if its config file is missing, and importing its
benchmark needs PyTorch; so config, task lists and init states are handled here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import math
import os
import pickle
import re
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import IO, Any, Dict, List, Tuple

import numpy as np
import numpy.typing as npt

from vlaserve_libero.environments.base import SimulatorError
from vlaserve_libero.environments.robosuite_base import require

# From MuJoCo 3.3.3 on, LIBERO's scenes are rendered darker (LIBERO issue 88).
_NEWEST_MUJOCO = (3, 3, 2)

_INSTALL_ASSETS = (
    "get LIBERO's assets with docker/libero/install_simulator.sh (--assets takes a folder or "
    "archives; without it they are downloaded from Hugging Face)"
)


def package_root() -> Path:
    """The folder of the Python package libero.libero.

    Raises:
        SimulatorError: LIBERO is not installed.
    """
    require("libero", "libero")
    spec = importlib.util.find_spec("libero")
    places = list(spec.submodule_search_locations or []) if spec else []
    for place in places:
        root = Path(place) / "libero"
        if (root / "benchmark" / "libero_suite_task_map.py").is_file():
            return root
    raise SimulatorError(f"the Python package 'libero' in {places} is not LIBERO (hf-libero)")


def check_mujoco(*, allow_new: bool) -> None:
    """Refuses a MuJoCo that draws other pictures than LIBERO's policies were trained on.

    Args:
        allow_new: Do not refuse.

    Raises:
        SimulatorError: MuJoCo is too new.
    """
    require("mujoco", "libero")
    version = importlib.metadata.version("mujoco")
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:3])
    if numbers > _NEWEST_MUJOCO and not allow_new:
        raise SimulatorError(
            f"mujoco {version} renders LIBERO darker than the versions that policies were trained "
            "with; install mujoco==3.2.3, or allow it with option allow_new_mujoco"
        )


def write_config(root: Path) -> Path:
    """Makes sure that LIBERO finds its config file when it is imported.

    An existing $LIBERO_CONFIG_PATH/config.yaml is the user's and stays. Without the variable, a
    config of our own is written to the Python environment, or to the temporary folder if that is
    read-only.

    Args:
        root: See `package_root`.

    Returns:
        The config file.

    Raises:
        SimulatorError: It cannot be written.
    """
    chosen = os.environ.get("LIBERO_CONFIG_PATH")
    if chosen:
        file = Path(chosen) / "config.yaml"
        if not file.exists():
            _write(file, _config(root))
        return file
    errors = []
    user = f"vlaserve-libero-{os.getuid()}"
    for folder in (Path(sys.prefix) / "libero_config", Path(tempfile.gettempdir()) / user):
        file = folder / "config.yaml"
        try:
            _write(file, _config(root))
        except SimulatorError as error:
            errors.append(str(error))
            continue
        os.environ["LIBERO_CONFIG_PATH"] = str(folder)
        return file
    raise SimulatorError("; ".join(errors) + "; set LIBERO_CONFIG_PATH to a writable folder")


def _config(root: Path) -> str:
    places = {
        "benchmark_root": root,
        "bddl_files": root / "bddl_files",
        "init_states": root / "init_files",
        "datasets": root.parent / "datasets",
        "assets": root / "assets",
    }
    return "".join(f"{key}: {json.dumps(str(place))}\n" for key, place in places.items())


def _write(file: Path, text: str) -> None:
    """Writes a file unless it has this content; atomically, since several processes may do it."""
    try:
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise SimulatorError(f"cannot write LIBERO's config file {file}: {error}") from error


def assets_folder(root: Path) -> Path:
    """The folder with LIBERO's meshes, textures and scenes, where LIBERO itself looks.

    Raises:
        SimulatorError: There is none, or it lacks one of its parts.
    """
    local = root / "assets"
    downloaded = Path.home() / ".cache" / "libero" / "assets"
    folder = local if local.exists() else downloaded
    if not folder.is_dir():
        raise SimulatorError(f"LIBERO's assets are missing: no folder {local}; {_INSTALL_ASSETS}")
    for part in (
        "scenes",
        "textures",
        "articulated_objects",
        "stable_hope_objects",
        "stable_scanned_objects",
        "turbosquid_objects",
    ):
        if not (folder / part).is_dir():
            raise SimulatorError(
                f"LIBERO's assets are incomplete: no folder {folder / part}; {_INSTALL_ASSETS}"
            )
    return folder


def explain_missing_asset(error: BaseException) -> str:
    """What to do about a simulator error, if its cause is a missing asset; else ""."""
    named = re.search(r"[^\s'\"]+\.(?:xml|obj|msh|stl|png|jpg)\b", str(error))
    if named is None or not re.search(r"no such file|opening file|not found", str(error), re.I):
        return ""
    return f"; {named.group()} is missing: {_INSTALL_ASSETS}"


def task_map(root: Path) -> Dict[str, List[str]]:
    """The tasks' names of each suite whose files are installed."""
    file = root / "benchmark" / "libero_suite_task_map.py"
    spec = importlib.util.spec_from_file_location("_vlaserve_libero_task_map", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Dict[str, List[str]] = module.libero_task_map
    return {
        suite: list(names)
        for suite, names in found.items()
        if (root / "bddl_files" / suite).is_dir() and (root / "init_files" / suite).is_dir()
    }


def prompt_of(task_name: str) -> str:
    """The task in words, as LIBERO's benchmark derives it from the name.

    "KITCHEN_SCENE3_turn_on_the_stove" -> "turn on the stove".
    """
    return re.sub(r"^[A-Z].*?SCENE(?:10|\d)_", "", task_name).replace("_", " ")


class _InitStateUnpickler(pickle.Unpickler):
    """Builds numpy arrays and nothing else: a pickle may otherwise run code."""

    _ALLOWED = frozenset(
        [
            (m, n)
            for m in ("numpy.core.multiarray", "numpy._core.multiarray")
            for n in ("_reconstruct", "scalar")
        ]
        + [("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")]
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}")
        return super().find_class(module, name)


def _load_array(stream: IO[bytes]) -> npt.NDArray[np.float64]:
    return np.asarray(_InitStateUnpickler(stream).load(), dtype=np.float64)


def init_states(root: Path, suite: str, task_name: str) -> npt.NDArray[np.float64]:
    """The stored init states of a task, read without PyTorch.

    Returns:
        float64 [states, numbers]: flattened MuJoCo states (time, positions, velocities).

    Raises:
        SimulatorError: The file is missing or not as LIBERO writes it.
    """
    file = root / "init_files" / suite / f"{task_name}.pruned_init"
    try:
        with zipfile.ZipFile(file) as archive:
            (member,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
            with archive.open(member) as stream:
                states = _load_array(stream)
    except (
        OSError,
        ValueError,
        TypeError,
        zipfile.BadZipFile,
        pickle.UnpicklingError,
        EOFError,
    ) as error:
        raise SimulatorError(f"cannot read the init states in {file}: {error}") from error
    if states.ndim != 2:
        raise SimulatorError(f"{file}: init states have shape {states.shape}, expected 2 axes")
    return states


Shifts = Dict[Tuple[int, int], Tuple[float, float]]


def read_shifts(path: Path) -> Shifts:
    """Reads offsets of the tasks' target objects.

    Args:
        path: A JSON file: {"shifts": [{"task": 0, "init": 40, "dx": 0.01, "dy": -0.02}, ...]}.

    Returns:
        (task_id, init state) -> (x, y) in metres.

    Raises:
        SimulatorError: The file cannot be read, or a field is missing or of no possible value.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SimulatorError(f"option shifts: cannot read {path}: {error}") from error
    entries = content.get("shifts") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise SimulatorError(f"option shifts: {path} has no list 'shifts'")
    shifts: Shifts = {}
    for number, entry in enumerate(entries):
        try:
            key = (int(entry["task"]), int(entry["init"]))
            offset = (float(entry["dx"]), float(entry["dy"]))
        except (KeyError, TypeError, ValueError) as error:
            raise SimulatorError(
                f"option shifts: {path}, entry {number}: expected numbers 'task', 'init', 'dx', "
                f"'dy' ({type(error).__name__}: {error})"
            ) from error
        if not all(math.isfinite(metres) for metres in offset) or key in shifts:
            raise SimulatorError(f"option shifts: {path}, entry {number} is not finite or repeated")
        shifts[key] = offset
    return shifts
