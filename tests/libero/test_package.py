"""The package builds, and what it builds is complete."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Set

import pytest
from server_process import REPOSITORY

from vlaserve_libero import VlaservePolicy

PACKAGE = REPOSITORY / "docker" / "libero"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the wheel and the source archive."""
    pytest.importorskip("build", reason="the package build is not installed")
    folder = tmp_path_factory.mktemp("build")
    # A copy: setuptools leaves its work beside the sources.
    source = folder / "source"
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)],
        check=True,
        capture_output=True,
        timeout=100,
    )
    return folder


def sources() -> Set[str]:
    root = PACKAGE / "src"
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.suffix in (".py", ".pyi", ".proto", ".typed") or path.name == "py.typed"
    }


def test_the_wheel_has_every_module_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == sources()


def test_the_wheel_works_where_it_is_unpacked(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "import vlaserve_libero as v; print(v.__file__, v.__version__)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    file, version = result.stdout.split()
    assert Path(file).is_relative_to(tmp_path)
    assert f"-{version}-" in wheel.name


def test_the_source_archive_has_what_a_build_needs(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {"/".join(name.split("/")[1:]) for name in tar.getnames()}
    assert {"pyproject.toml", "README.md"} <= names
    assert {f"src/{name}" for name in sources()} <= names


def test_simulators_are_imported_only_when_asked_for() -> None:
    code = """
import sys
import vlaserve_libero.cli
heavy = {"libero", "robosuite", "mujoco", "av", "matplotlib", "torch"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_readme_names_no_option_that_does_not_exist() -> None:
    text = (PACKAGE / "README.md").read_text()
    helps = [(PACKAGE / "install_simulator.sh").read_text()]
    for command in ("eval", "compare", "plot", "report", "info"):
        arguments = [sys.executable, "-m", "vlaserve_libero", command, "--help"]
        helps.append(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
    known = set(re.findall(r"--[a-z][a-z-]*", " ".join(helps)))
    # --args.port is openpi's, of its examples/libero/main.py.
    named = set(re.findall(r"--[a-z][a-z-]*(?![a-z.-])", text))
    assert len(named) > 10
    assert named <= known


def test_the_readme_s_table_has_every_argument_of_the_policy() -> None:
    text = (PACKAGE / "README.md").read_text()
    for name, parameter in inspect.signature(VlaservePolicy).parameters.items():
        row = next(
            line for line in text.splitlines() if line.startswith("|") and f"`{name}`" in line
        )
        default = parameter.default
        if isinstance(default, (int, float)):
            assert f"{default:g}" in row, row
