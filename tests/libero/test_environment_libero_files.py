"""LIBERO's files are found, checked and read without importing it; faults are explained."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import json
import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlaserve_libero.environments import libero_files as files
from vlaserve_libero.environments.base import SimulatorError
from vlaserve_libero.environments.robosuite_base import axis_angle, prepare_opengl, rotated

_REPOSITORY = Path(__file__).resolve().parents[2]
_GOLDEN = Path(os.environ.get("VLASERVE_GOLDEN_DIR", _REPOSITORY / "tests" / "golden"))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder laid out as the package libero.libero, with one task."""
    root = tmp_path / "site" / "libero" / "libero"
    (root / "benchmark").mkdir(parents=True)
    (root / "benchmark" / "libero_suite_task_map.py").write_text(
        "libero_task_map = {'libero_object': ['pick_it'], 'libero_90': ['KITCHEN_SCENE1_x']}\n"
    )
    for folder in ("bddl_files/libero_object", "init_files/libero_object", "init_files/libero_90"):
        (root / folder).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return root


def _assets(root: Path) -> Path:
    for part in (
        "scenes",
        "textures",
        "articulated_objects",
        "stable_hope_objects",
        "stable_scanned_objects",
        "turbosquid_objects",
    ):
        (root / "assets" / part).mkdir(parents=True)
    return root / "assets"


def test_only_suites_with_their_files_are_listed(root: Path) -> None:
    assert files.task_map(root) == {"libero_object": ["pick_it"]}


def test_another_package_named_libero_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "libero").mkdir()
    (tmp_path / "libero" / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "libero", raising=False)
    importlib.invalidate_caches()
    with pytest.raises(SimulatorError, match="is not LIBERO"):
        files.package_root()


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("pick_up_the_milk", "pick up the milk"),
        ("KITCHEN_SCENE3_turn_on_the_stove", "turn on the stove"),
        ("KITCHEN_SCENE10_close_the_top_drawer", "close the top drawer"),
        ("LIVING_ROOM_SCENE2_put_both_in", "put both in"),
    ],
)
def test_prompts_are_those_of_the_benchmark(name: str, prompt: str) -> None:
    assert files.prompt_of(name) == prompt


def test_a_config_of_our_own_is_written_and_renewed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIBERO_CONFIG_PATH", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "python"))
    file = files.write_config(root)
    assert file == tmp_path / "python" / "libero_config" / "config.yaml"
    assert os.environ["LIBERO_CONFIG_PATH"] == str(file.parent)
    first = file.read_text()
    assert f'assets: "{root}/assets"\n' in first
    file.write_text("assets: /where/the/environment/was/before\n")
    monkeypatch.delenv("LIBERO_CONFIG_PATH")
    files.write_config(root)
    assert file.read_text() == first
    assert [f.name for f in file.parent.iterdir()] == ["config.yaml"]


def test_the_users_config_stays(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIBERO_CONFIG_PATH", str(tmp_path / "mine"))
    file = files.write_config(root)
    assert file.parent == tmp_path / "mine"
    file.write_text("assets: /mine\n")
    assert files.write_config(root) == file
    assert file.read_text() == "assets: /mine\n"


def test_a_read_only_python_gets_its_config_in_the_temporary_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("LIBERO_CONFIG_PATH", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "file"))  # no folder can be made in a file
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = files.write_config(root)
    assert file.parent.parent == tmp_path
    assert file.is_file()


def test_missing_assets_are_named_with_the_way_to_get_them(root: Path) -> None:
    with pytest.raises(SimulatorError, match=r"no folder .*/assets; .*install_simulator.sh"):
        files.assets_folder(root)
    folder = _assets(root)
    assert files.assets_folder(root) == folder
    (folder / "textures").rmdir()
    with pytest.raises(SimulatorError, match=r"no folder .*assets/textures; .*install_simulator"):
        files.assets_folder(root)


def test_assets_that_libero_downloaded_are_found(root: Path) -> None:
    downloaded = Path.home() / ".cache" / "libero"
    _assets(downloaded)
    assert files.assets_folder(root) == downloaded / "assets"


@pytest.mark.parametrize(
    ("message", "missing"),
    [
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/a/scenes/x.xml'",
            "; /a/scenes/x.xml is missing: get LIBERO's assets",
        ),
        (
            "ValueError: Error: Error opening file '/a/meshes/b.obj': No such file",
            "; /a/meshes/b.obj is missing: get LIBERO's assets",
        ),
        ("ValueError: XML Error: x.xml: bad attribute", ""),
        ("RuntimeError: no EGL device", ""),
    ],
)
def test_an_error_of_a_missing_asset_is_recognised(message: str, missing: str) -> None:
    assert files.explain_missing_asset(SimulatorError(message)).startswith(missing)
    assert bool(files.explain_missing_asset(SimulatorError(message))) is bool(missing)


@pytest.mark.parametrize(
    ("version", "accepted"),
    [("3.2.3", True), ("3.3.2", True), ("3.3.3", False), ("3.10.0", False), ("4.0.0rc1", False)],
)
def test_a_mujoco_with_darker_pictures_is_refused_unless_allowed(
    monkeypatch: pytest.MonkeyPatch, version: str, accepted: bool
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    files.check_mujoco(allow_new=True)
    if accepted:
        files.check_mujoco(allow_new=False)
    else:
        with pytest.raises(SimulatorError, match=f"mujoco {version} renders .*allow_new_mujoco"):
            files.check_mujoco(allow_new=False)


def _init_file(root: Path, content: Any) -> None:
    file = root / "init_files" / "libero_object" / "pick_it.pruned_init"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content))


def test_init_states_are_read_without_torch(root: Path) -> None:
    states = np.arange(6.0).reshape(3, 2)
    _init_file(root, states)
    assert np.array_equal(files.init_states(root, "libero_object", "pick_it"), states)


class _RunsCode:
    def __reduce__(self) -> Any:
        return (os.system, ("true",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_RunsCode(), "it refers to (posix|os).system"),
        (io.BytesIO(), "it refers to _?io"),
        (np.zeros(3), r"shape \(3,\), expected 2 axes"),
        ("text", "cannot read the init states"),
    ],
)
def test_init_states_of_another_kind_are_refused(root: Path, content: Any, message: str) -> None:
    _init_file(root, content)
    with pytest.raises(SimulatorError, match=message):
        files.init_states(root, "libero_object", "pick_it")


def test_a_missing_or_damaged_init_file_is_named(root: Path) -> None:
    with pytest.raises(SimulatorError, match=r"libero_object/pick_it.pruned_init"):
        files.init_states(root, "libero_object", "pick_it")
    (root / "init_files" / "libero_object" / "pick_it.pruned_init").write_bytes(b"not a zip")
    with pytest.raises(SimulatorError, match=r"pick_it.pruned_init: File is not a zip"):
        files.init_states(root, "libero_object", "pick_it")


def test_the_demo_policys_shifts_are_read() -> None:
    shifts = files.read_shifts(_REPOSITORY / "configs" / "demo_policy" / "eval_shifts.json")
    assert sorted(shifts) == [(task, init) for task in range(10) for init in range(40, 45)]
    assert shifts[0, 40] == (-0.002295791398864744, 0.012427818107804411)


_SHIFT = {"task": 0, "init": 1, "dx": 0.0, "dy": 0.1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot read"),
        ("[]", "no list 'shifts'"),
        (json.dumps({"shifts": [{**_SHIFT, "dx": None}]}), "entry 0: expected numbers"),
        (json.dumps({"shifts": [{"task": 0, "init": 1, "dx": 0.0}]}), "entry 0: .*'dy'"),
        (json.dumps({"shifts": [_SHIFT, _SHIFT]}), "entry 1 is not finite or repeated"),
        (json.dumps({"shifts": [{**_SHIFT, "dy": float("nan")}]}), "entry 0 is not finite"),
    ],
)
def test_bad_shifts_are_explained(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "shifts.json"
    file.write_text(content)
    with pytest.raises(SimulatorError, match=rf"option shifts: .*{message}"):
        files.read_shifts(file)


def test_rotations_are_those_of_openpis_client() -> None:
    golden = json.loads((_GOLDEN / "transforms" / "quat2axisangle.json").read_text())
    assert len(golden["cases"]) > 50
    for case in golden["cases"]:
        assert np.array_equal(axis_angle(case["quat_xyzw"]), case["axis_angle"]), case


def test_a_picture_is_turned_not_mirrored() -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert rotated(picture)[:, :, 0].tolist() == [[9, 6], [3, 0]]
    assert rotated(picture).flags["C_CONTIGUOUS"]


def test_opengl_is_chosen_but_never_against_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    prepare_opengl()
    assert (os.environ["MUJOCO_GL"], os.environ["PYOPENGL_PLATFORM"]) == ("egl", "egl")
    monkeypatch.delenv("PYOPENGL_PLATFORM")
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    prepare_opengl()
    assert (os.environ["MUJOCO_GL"], os.environ["PYOPENGL_PLATFORM"]) == ("osmesa", "osmesa")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "mine")
    prepare_opengl()
    assert os.environ["PYOPENGL_PLATFORM"] == "mine"
