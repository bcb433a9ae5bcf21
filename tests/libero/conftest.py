"""What the tests share: a real server with the demo policy, and one of its observations."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import numpy as np
import pytest
from fake_server import FakeServer
from PIL import Image
from server_process import REPOSITORY, ServerProcess, export_archive, find_binary

DEMO_POLICY = REPOSITORY / "configs" / "demo_policy"


@pytest.fixture(scope="session")
def vlaserve_binary() -> Path:
    """The program; tests that need it are skipped without one, or fail where one was promised."""
    binary = find_binary()
    if binary is None:
        word = "no vlaserve: build the release preset, or set VLASERVE_BINARY"
        if os.environ.get("VLASERVE_REQUIRE_SERVER") == "1":
            pytest.fail(word)
        pytest.skip(word)
    return binary


@pytest.fixture(scope="session")
def demo_archive(vlaserve_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_archive(
        vlaserve_binary, DEMO_POLICY, tmp_path_factory.mktemp("archive") / "demo_policy.pt"
    )


@pytest.fixture(scope="session")
def server(
    vlaserve_binary: Path, demo_archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """The demo policy in float32. Shared: leave it running."""
    log = tmp_path_factory.mktemp("server") / "server.log"
    with ServerProcess(vlaserve_binary, demo_archive, log) as process:
        yield process


@pytest.fixture
def own_server(
    vlaserve_binary: Path, demo_archive: Path, tmp_path: Path
) -> Iterator[ServerProcess]:
    """The demo policy in float32, for a test that kills or restarts it."""
    with ServerProcess(vlaserve_binary, demo_archive, tmp_path / "server.log") as process:
        yield process


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    """A server in this process that can be told to misbehave."""
    with FakeServer() as server:
        yield server


@pytest.fixture(scope="session")
def observation() -> Dict[str, Any]:
    """A frame of the simulator with openpi's keys. Copy it before a change."""
    folder = DEMO_POLICY / "observation"
    pictures = {
        f"observation/{name}": np.asarray(Image.open(folder / f"{name}.png").convert("RGB"))
        for name in ("image", "wrist_image")
    }
    state = np.array([float(x) for x in (folder / "state.csv").read_text().split(",")])
    prompt = (folder / "prompt.txt").read_text().strip()
    return {**pictures, "observation/state": state, "prompt": prompt}


@pytest.fixture
def small_observation() -> Dict[str, Any]:
    """For the fake server, which looks at nothing but sizes."""
    return {
        "observation/image": np.zeros((4, 6, 3), np.uint8),
        "observation/wrist_image": np.full((4, 6, 3), 7, np.uint8),
        "observation/state": np.arange(8, dtype=np.float64),
        "prompt": "pick up the milk",
    }


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a port that nobody listens on."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find
