"""Runs the tests that need a simulator in the Python that has one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parent
_SOURCES = _TESTS.parents[1] / "docker" / "libero" / "src"


@pytest.mark.timeout(900)
@pytest.mark.skipif(
    importlib.util.find_spec("libero") is not None, reason="this Python has LIBERO itself"
)
@pytest.mark.parametrize("module", ["test_environment_libero.py", "test_environment_robosuite.py"])
def test_the_simulators_tests_pass(module: str) -> None:
    python = os.environ.get("VLASERVE_LIBERO_PYTHON")
    if not python:
        pytest.skip(
            "VLASERVE_LIBERO_PYTHON does not name a Python with LIBERO and pytest "
            "(docker/libero/install_simulator.sh sets one up)"
        )
    environment = {**os.environ, "PYTHONPATH": str(_SOURCES), "PYTHONDONTWRITEBYTECODE": "1"}
    options = ["-q", "--noconftest", "-p", "no:cacheprovider"]
    command = [python, "-m", "pytest", *options, str(_TESTS / module)]
    done = subprocess.run(
        command, env=environment, cwd=_TESTS, capture_output=True, text=True, timeout=880
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout
