"""The command line: options, their defaults, exit statuses, what goes where."""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest
from evaluation_runs import SUITE, records, run_json
from server_process import ServerProcess

from vlaserve_libero import cli
from vlaserve_libero.evaluation import options as eval_options
from vlaserve_libero.evaluation.settings import RunSettings

FAKE = ["eval", "--environment", "fake", "--suite", SUITE]
SCRIPTED = [*FAKE, "--policy", "scripted", "--resolution", "32", "--tasks", "0", "--trials", "2"]
VARIABLES = ("CKPT", "TASK_SUITE", "NUM_TRIALS", "SEED", "RESULTS_OUT_PATH", "VIDEO_OUT_PATH")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def settings(*arguments: str, **environ: str) -> RunSettings:
    given = [*FAKE, "--results", "r", *arguments]
    parsed = cli._parser().parse_args(given)
    return eval_options.settings_from(parsed, environ, given)


def fails(capsys: pytest.CaptureFixture[str], arguments: List[str], status: int) -> str:
    """Runs a command that is to fail; returns its message."""
    assert cli.main(arguments) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("vlaserve-libero: ")
    assert len(said.err.splitlines()) == 1
    return said.err


def test_defaults_are_openpi_s() -> None:
    found = settings()
    assert (found.trials, found.seed, found.first_init_state, found.tasks) == (50, 7, 0, None)
    assert found.protocol.name == "openpi"
    assert found.protocol.rules("libero_object").replan_steps == 5
    assert (found.policy.name, found.policy.server) == ("server", "127.0.0.1:50051")
    assert (found.policy.deadline_s, found.policy.server_wait_s) == (120.0, 300.0)
    assert (found.videos, found.plots, found.workers, found.restart) == ("none", False, 1, False)
    assert found.options == {"resolution": 256}


def test_every_default_is_in_the_help() -> None:
    parser = argparse.ArgumentParser()
    eval_options.add_options(parser)
    help_of = {action.option_strings[-1]: action.help or "" for action in parser._actions}
    for name, default in (
        ("--environment", "libero"), ("--suite", "$TASK_SUITE"), ("--tasks", "all"),
        ("--trials", "$NUM_TRIALS, else 50"), ("--seed", "$SEED, else 7"),
        ("--protocol", "openpi"), ("--policy", "server"), ("--server", "127.0.0.1:50051"),
        ("--deadline", "120"), ("--server-wait", "300"), ("--num-steps", "the server's"),
        ("--workers", "1"), ("--resolution", "256"), ("--results", "$RESULTS_OUT_PATH"),
        ("--videos", "none"), ("--video-fps", "10"), ("--image-encoding", "rgb8"),
        ("--video-folder", "$VIDEO_OUT_PATH, else videos/ in the results folder"),
    ):  # fmt: skip
        assert help_of[name].endswith(f"default: {default}"), help_of[name]


def test_the_help_names_the_variables_and_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["eval", "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for name in (*VARIABLES, "130 interrupted"):
        assert name in text


def test_options_reach_the_settings(tmp_path: Path) -> None:
    found = settings(
        "--tasks", "0,2", "--trials", "3", "--first-init-state", "40", "--seed", "9",
        "--protocol", "lerobot", "--replan-steps", "4", "--max-steps", "50", "--settle-steps", "2",
        "--fixtures", "openpi", "--server", "h:1", "--deadline", "5", "--server-wait", "6",
        "--num-steps", "3", "--image-encoding", "png", "--workers", "2", "--resolution", "64",
        "--environment-option", "delay_s=0.5", "--restart", "--videos", "all",
        "--video-folder", "v", "--video-fps", "4", "--plots",
    )  # fmt: skip
    rules = found.protocol.rules("libero_10")
    assert (rules.replan_steps, rules.max_steps, rules.settle_steps) == (4, 50, 2)
    assert rules.fixtures == "openpi"
    assert (found.tasks, found.trials, found.first_init_state) == ((0, 2), 3, 40)
    assert (found.seed, found.workers, found.restart, found.plots) == (9, 2, True, True)
    policy = found.policy
    assert (policy.server, policy.deadline_s, policy.server_wait_s) == ("h:1", 5.0, 6.0)
    assert (policy.num_steps, policy.image_encoding) == (3, "png")
    assert found.options == {"delay_s": 0.5, "resolution": 64}
    assert (found.videos, found.video_folder, found.video_fps) == ("all", Path("v"), 4)


def test_variables_of_openpi_s_scripts_are_defaults() -> None:
    environ = {
        "TASK_SUITE": "a,b", "NUM_TRIALS": "3", "SEED": "42", "RESULTS_OUT_PATH": "out",
        "VIDEO_OUT_PATH": "clips",
    }  # fmt: skip
    parsed = cli._parser().parse_args(["eval", "--environment", "fake"])
    found = eval_options.settings_from(parsed, environ, [])
    assert (found.suites, found.trials, found.seed) == (("a", "b"), 3, 42)
    assert (found.results, found.video_folder) == (Path("out"), Path("clips"))
    assert found.videos == "all"  # as those scripts do
    # The command line wins, and an empty variable is none.
    found = settings("--trials", "4", NUM_TRIALS="3", SEED="", VIDEO_OUT_PATH="")
    assert (found.trials, found.seed, found.videos) == (4, 7, "none")


def test_what_a_script_sets_for_nothing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CKPT", "/models/pi05")
    assert cli.main([*SCRIPTED, "--headless", "--results", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "note: CKPT=/models/pi05 is not used here" in said
    assert "note: --headless: the policy is asked through the server" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trials", "0"], "--trials 0: expected 1 or more"),
        (["--trials", "51"], "needs 51 init states"),
        (["--tasks", "5"], "has no task 5; its tasks are 0-2"),
        (["--tasks", "x"], "--tasks x: expected ids and ranges"),
        (["--seed", "-1"], "--seed -1: expected 0 to 4294967295"),
        (["--workers", "0"], "--workers 0: expected 1 or more"),
        (["--suite", "a,"], "--suite a,: expected names separated by commas"),
        (["--server", "host"], "--server: .* expected HOST:PORT"),
        (["--deadline", "0"], "--deadline 0: expected seconds"),
        (["--server-wait", "inf"], "--server-wait inf: expected seconds"),
        (["--num-steps", "101"], "--num-steps 101: expected 1 to 100"),
        (["--replan-steps", "0"], "--replan-steps 0: expected 1 or more"),
        (["--environment-option", "x"], "expected NAME=VALUE"),
        (["--environment-option", "x=1"], "environment fake has resolution, delay_s"),
        (["--shifts", "/no/such/file"], "--shifts /no/such/file: there is no such file"),
        (["--shifts", __file__], "--shifts has no meaning in environment fake"),
        (["--allow-new-mujoco"], "--allow-new-mujoco has no meaning in environment fake"),
        (["--video-folder", "v", "--videos", "none"], "--video-folder has no meaning without"),
        (["--video-fps", "5"], "--video-fps has no meaning without --videos"),
        (["--policy", "scripted", "--server", "h:1"], "--server has no meaning with --policy"),
        (["--policy", "scripted", "--num-steps", "3"], "--num-steps has no meaning"),
    ],
)
def test_wrong_options_are_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: List[str], message: str
) -> None:
    said = fails(capsys, [*FAKE, "--results", str(tmp_path / "r"), *arguments], 2)
    assert re.search(message, said), said
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eval", "--environment", "fake", "--results", "r"], "--suite is missing"),
        (FAKE, "--results is missing"),
    ],
)
def test_what_is_missing_is_named(
    capsys: pytest.CaptureFixture[str], arguments: List[str], message: str
) -> None:
    assert message in fails(capsys, arguments, 2)


def test_a_variable_that_is_no_number_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUM_TRIALS", "many")
    assert "NUM_TRIALS=many" in fails(capsys, [*FAKE, "--results", "r"], 2)


def test_an_unknown_suite_is_an_error_of_the_simulator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["eval", "--environment", "fake", "--suite", "x", "--results", str(tmp_path)]
    assert "has no suite 'x'" in fails(capsys, arguments, 1)


def test_results_go_to_stdout_and_progress_to_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SCRIPTED, "--results", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "2/2  100.0 %" in said.out
    assert "[2/2]" in said.err
    assert "[2/2]" not in said.out
    assert run_json(tmp_path)["command"][:2] == ["vlaserve-libero", "eval"]


def test_failures_of_the_policy_are_no_failure_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SCRIPTED, "--max-steps", "5", "--results", str(tmp_path)]) == 0
    assert {r.outcome for r in records(tmp_path)} == {"failure"}


def test_simulator_errors_are_status_1_after_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*SCRIPTED, "--results", str(tmp_path), "--environment-option", "fail_at=3"]
    assert cli.main(arguments) == 1
    said = capsys.readouterr()
    assert "2 episodes ended in a simulator error" in said.err
    assert "0/0" in said.out
    assert (tmp_path / "results.json").exists()


def test_sigterm_before_the_first_episode_ends_the_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vlaserve_libero", *FAKE, "--results", str(tmp_path),
               "--server", "127.0.0.1:1"]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "waiting for the server" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert "interrupted" in process.stderr.read()
        assert process.wait(60) == 130


def test_report_makes_the_results_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*SCRIPTED, "--results", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    (tmp_path / "results.json").unlink()
    assert cli.main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out == table
    assert cli.main(["report", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["overall"]["successes"] == 2
    assert (tmp_path / "results.json").exists()


def test_report_of_no_run_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "run.json: no such file" in fails(capsys, ["report", str(tmp_path)], 1)


def test_compare_pairs_two_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, steps in (("a", "400"), ("b", "400")):
        where = ["--max-steps", steps, "--results", str(tmp_path / name)]
        assert cli.main([*SCRIPTED, *where]) == 0
    capsys.readouterr()
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert cli.main(["compare", *folders]) == 0
    assert "McNemar" in capsys.readouterr().out
    assert cli.main(["compare", *folders, "--json"]) == 0
    compared: Dict[str, Any] = json.loads(capsys.readouterr().out)
    assert compared["overall"]["both"] == 2


def test_compare_refuses_runs_of_different_protocols(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, steps in (("a", "400"), ("b", "5")):
        where = ["--max-steps", steps, "--results", str(tmp_path / name)]
        assert cli.main([*SCRIPTED, *where]) == 0
    capsys.readouterr()
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    assert "protocol.other_max_steps: 400 and 5" in capsys.readouterr().err


def test_plot_draws_the_runs_of_each_panel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert cli.main([*SCRIPTED, "--results", str(tmp_path / "a")]) == 0
    capsys.readouterr()
    picture = tmp_path / "a.png"
    panel = ["--panel", "stock", f"scripted={tmp_path / 'a'}"]
    assert cli.main(["plot", str(picture), *panel]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    picture.unlink()
    other = ["--panel", "shifted", f"other={tmp_path / 'a'}"]
    assert "panel shifted" in fails(capsys, ["plot", str(picture), *panel, *other], 1)
    assert "LABEL=FOLDER" in fails(capsys, ["plot", str(picture), "--panel", "stock", "x"], 1)
    assert not picture.exists()


def test_info_prints_what_a_server_serves(
    server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["info", "--server", server.address]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["vlaserve"]["type"] == "pi0"


def test_info_of_no_server_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["info", "--server", "127.0.0.1:1", "--server-wait", "0.3"]
    assert "was not ready within 0.3 s" in fails(capsys, arguments, 1)


def test_a_reader_that_leaves_is_no_error_message(server: ServerProcess) -> None:
    command = f"{sys.executable} -m vlaserve_libero info --server {server.address} | true"
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (1, "")


def test_simulators_and_extras_are_imported_only_when_needed() -> None:
    program = (
        "import sys, vlaserve_libero.cli\n"
        "print([m for m in ('mujoco', 'libero', 'robosuite', 'av', 'matplotlib') "
        "if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert loaded.stdout.strip() == "[]"
