"""Runs against a vlaserve: what is recorded, and servers that go away in the middle."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest
from evaluation_runs import SUITE, ask, make_settings, outcome_of, records, run, run_json
from fake_server import FakeServer
from server_process import ServerProcess

from vlaserve_libero.errors import ServerUnavailable
from vlaserve_libero.evaluation.errors import EvaluationError, UsageError
from vlaserve_libero.evaluation.protocol import protocol
from vlaserve_libero.evaluation.seeds import query_seed
from vlaserve_libero.evaluation.settings import RunSettings

# Two queries for an episode; the demo policy has not seen this world and fails in it.
SHORT = protocol("openpi").changed(max_steps=10)


def make(folder: Path, server: str, **changes: Any) -> RunSettings:
    values = {"protocol": SHORT, "policy": ask(server, num_steps=1), **changes}
    return make_settings(folder, **values)


def lines(folder: Path) -> int:
    path = folder / "episodes.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def after(condition: Callable[[], bool], action: Callable[[], None]) -> threading.Thread:
    """Does something in the background as soon as a condition holds."""

    def work() -> None:
        end = time.monotonic() + 120
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)
        action()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_run_records_its_server_and_what_it_answered(
    tmp_path: Path, server: ServerProcess
) -> None:
    run(make(tmp_path, server.address, tasks=(0, 1), trials=1, workers=2))
    described = run_json(tmp_path)["server"]
    assert described["address"] == server.address
    assert len(described["archive_sha256"]) == 64
    assert described["version"]
    assert described["quantization"]["engine"] == "off"
    assert run_json(tmp_path)["query"] == {"num_steps": 1, "image_encoding": "rgb8"}
    for record in records(tmp_path):
        assert (record.outcome, record.steps, record.queries) == ("failure", 10, 2)
        assert len(record.first_chunk) == described["horizon"]
        assert record.actions[:5] == record.first_chunk[:5]
        assert all(0 < s <= c for s, c in zip(record.server_ms, record.latency_ms))


def test_two_runs_of_one_seed_are_paired(tmp_path: Path, server: ServerProcess) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        run(make(tmp_path / name, server.address, seed=seed))
    a, b, c = ([outcome_of(r) for r in records(tmp_path / name)] for name in "abc")
    assert a == b
    assert a[0]["first_chunk"] != c[0]["first_chunk"]
    assert a[0]["first_chunk"] != a[1]["first_chunk"]


def test_a_server_that_is_killed_and_comes_back_costs_no_episode(
    tmp_path: Path, own_server: ServerProcess
) -> None:
    calm = make(tmp_path / "calm", own_server.address, tasks=(0, 1), trials=4)
    run(calm)

    def kill_and_restart() -> None:
        own_server.kill()
        time.sleep(0.5)
        own_server.restart()

    stormy = replace(calm, results=tmp_path / "stormy", workers=2)
    thread = after(lambda: lines(stormy.results) >= 1, kill_and_restart)
    said = run(stormy)
    thread.join()
    found = records(stormy.results)
    assert lines(stormy.results) == len(found) == 8
    assert sum(r.interruptions for r in found) >= 1
    assert "waiting up to" in said
    # And nothing that the policy said or the scene did is different.
    for before, now in zip(records(calm.results), found):
        assert {**outcome_of(before), "interruptions": 0} == {**outcome_of(now), "interruptions": 0}


def test_a_server_that_comes_back_with_other_numbers_ends_the_run(
    tmp_path: Path, own_server: ServerProcess
) -> None:
    def replace_it() -> None:
        own_server.kill()
        own_server.restart(settings=["runtime.compute_dtype=bfloat16"])

    settings = make(tmp_path, own_server.address, trials=8)
    thread = after(lambda: lines(tmp_path) >= 1, replace_it)
    with pytest.raises(EvaluationError, match="compute_dtype: 'float32' -> 'bfloat16'"):
        run(settings)
    thread.join()
    assert 1 <= len(records(tmp_path)) == lines(tmp_path) < 8
    # Neither is the run resumed with it.
    with pytest.raises(EvaluationError, match=r"than when the run began, see run\.json: .*bfloat"):
        run(settings)


def test_a_server_that_stays_away_ends_the_run_which_can_be_resumed(
    tmp_path: Path, own_server: ServerProcess
) -> None:
    settings = make(tmp_path, own_server.address, trials=8)
    impatient = replace(settings, policy=replace(settings.policy, server_wait_s=2.0))
    thread = after(lambda: lines(tmp_path) >= 1, own_server.kill)
    with pytest.raises(EvaluationError, match="not ready within"):
        run(impatient)
    thread.join()
    done = lines(tmp_path)
    assert 1 <= len(records(tmp_path)) == done < 8
    own_server.restart()
    said = run(settings)
    assert f"{done} of 8 are done" in said
    assert len(records(tmp_path)) == lines(tmp_path) == 8


def test_a_client_that_is_killed_resumes(tmp_path: Path, server: ServerProcess) -> None:
    command = [
        sys.executable, "-m", "vlaserve_libero", "eval", "--environment", "fake", "--suite", SUITE,
        "--server", server.address, "--tasks", "0,1", "--trials", "4", "--max-steps", "10",
        "--num-steps", "1", "--resolution", "32", "--workers", "2", "--results",
    ]  # fmt: skip
    with subprocess.Popen([*command, str(tmp_path)], stderr=subprocess.DEVNULL) as process:
        thread = after(lambda: lines(tmp_path) >= 2, process.kill)
        process.wait(120)
        thread.join()
    assert process.returncode == -9
    assert lines(tmp_path) < 8
    again = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=240)
    assert again.returncode == 0, again.stderr
    assert len(records(tmp_path)) == lines(tmp_path) == 8
    run(make(tmp_path / "whole", server.address, tasks=(0, 1), trials=4))
    assert [outcome_of(r) for r in records(tmp_path)] == [
        outcome_of(r) for r in records(tmp_path / "whole")
    ]


def test_no_server_is_one_clear_error(tmp_path: Path, free_port: Callable[[], int]) -> None:
    address = f"127.0.0.1:{free_port()}"
    settings = make(tmp_path, address, policy=ask(address, server_wait_s=0.5))
    with pytest.raises(ServerUnavailable, match=r"was not ready within 0\.5 s"):
        run(settings)
    assert not (tmp_path / "run.json").exists()


def test_a_policy_with_other_actions_than_the_robot_s_is_refused(
    tmp_path: Path, fake_server: FakeServer
) -> None:
    fake_server.info.policy.action_dim = 5
    with pytest.raises(EvaluationError, match="actions of 5 numbers, suite pick_and_place takes 7"):
        run(make(tmp_path, f"127.0.0.1:{fake_server.port}"))


def test_chunks_that_are_shorter_than_replan_steps_are_refused(
    tmp_path: Path, fake_server: FakeServer
) -> None:
    with pytest.raises(UsageError, match=r"--replan-steps 5: .* chunks of 4 actions"):
        run(make(tmp_path, f"127.0.0.1:{fake_server.port}"))


def test_queries_carry_the_seeds_of_their_episodes(tmp_path: Path, fake_server: FakeServer) -> None:
    rules = protocol("openpi").changed(replan_steps=4, max_steps=8)
    run(make(tmp_path, f"127.0.0.1:{fake_server.port}", protocol=rules))
    assert [request.seed for request in fake_server.requests] == [
        query_seed(7, SUITE, 0, episode, query) for episode in range(2) for query in range(2)
    ]
    sessions = [request.session_id for request in fake_server.requests]
    assert sessions[0] == sessions[1] != sessions[2] == sessions[3]


def test_a_fault_of_the_server_ends_the_run(tmp_path: Path, fake_server: FakeServer) -> None:
    def edit(response: Any) -> None:
        response.horizon = 3

    fake_server.edit = edit
    settings = make(
        tmp_path, f"127.0.0.1:{fake_server.port}", protocol=SHORT.changed(replan_steps=4)
    )
    with pytest.raises(EvaluationError, match=r"task 0 episode 0: .* expected"):
        run(settings)
    assert records(tmp_path) == []
