"""A few queries of a real LIBERO episode: simulator, client, gRPC, server, policy."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from server_process import ServerProcess

_SOURCES = Path(__file__).resolve().parents[2] / "docker" / "libero" / "src"


@pytest.mark.timeout(600)
def test_a_libero_episode_is_played_with_the_server_s_actions(
    server: ServerProcess, tmp_path: Path
) -> None:
    python = os.environ.get("VLASERVE_LIBERO_PYTHON")
    if not python:
        pytest.skip("VLASERVE_LIBERO_PYTHON does not name a Python with LIBERO")
    environment = {**os.environ, "PYTHONPATH": str(_SOURCES), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [python, "-m", "vlaserve_libero", "eval", "--server", server.address]
    command += ["--suite", "libero_object", "--tasks", "7", "--trials", "1"]
    command += ["--max-steps", "12", "--videos", "all", "--results", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr[-4000:]
    (record,) = [
        json.loads(line) for line in (tmp_path / "episodes.jsonl").read_text().splitlines()
    ]
    assert record["prompt"] == "pick up the milk and place it in the basket"
    assert (record["outcome"], record["steps"], record["queries"]) == ("failure", 12, 3)
    assert len(record["server_ms"]) == 3
    # The policy moves the hand down to the milk with the gripper open from the first query on.
    assert all(action[2] < 0 and action[6] < 0 for action in record["first_chunk"][:5])
    assert (tmp_path / record["video"]).stat().st_size > 1000
