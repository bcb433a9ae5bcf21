"""Whole runs with the fake environment: results, resuming, seeds, videos, simulator errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest
from evaluation_runs import SUITE, make_settings, outcome_of, records, run, run_json

from vlaserve_libero.environments.base import SimulatorError
from vlaserve_libero.environments.fake import FakeEnvironment
from vlaserve_libero.evaluation import run_file
from vlaserve_libero.evaluation.errors import EvaluationError, UsageError
from vlaserve_libero.evaluation.plan import Episode
from vlaserve_libero.evaluation.policies import PolicySettings
from vlaserve_libero.evaluation.protocol import protocol
from vlaserve_libero.evaluation.seeds import fixture_seed
from vlaserve_libero.evaluation.worker import EpisodeRunner, SuiteSource, WorkerSettings


def keep_lines(folder: Path, count: int) -> None:
    """As if the run had been killed after so many episodes."""
    path = folder / "episodes.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(True)[:count]))


def runner(
    tmp_path: Path, fixtures: str, options: Optional[Dict[str, Any]] = None
) -> EpisodeRunner:
    rules = protocol("openpi").changed(max_steps=5, fixtures=fixtures).rules(SUITE)
    source = SuiteSource(SUITE, fake_suite(), rules)
    settings = WorkerSettings(
        environment="fake",
        options={"resolution": 32, **(options or {})},
        suites={SUITE: source},
        policy=PolicySettings("scripted"),
        seed=7,
        results=tmp_path,
    )
    return EpisodeRunner(settings, "test")


def fake_suite() -> Any:
    from vlaserve_libero.environments.registry import suite

    return suite("fake", SUITE)


def test_a_run_leaves_its_journal_its_settings_and_its_results(tmp_path: Path) -> None:
    run(make_settings(tmp_path, tasks=(0, 2), workers=2))
    assert [r.key for r in records(tmp_path)] == [
        (SUITE, 0, 0), (SUITE, 0, 1), (SUITE, 2, 0), (SUITE, 2, 1),
    ]  # fmt: skip
    assert {r.outcome for r in records(tmp_path)} == {"success"}
    assert (tmp_path / "results.json").exists()
    assert (tmp_path / "episodes.csv").exists()
    written = run_json(tmp_path)
    assert written["protocol"]["replan_steps"] == 5
    assert written["seed"] == 7
    assert written["episodes"] == {
        "tasks": {SUITE: [0, 2]}, "trials": 2, "first_init_state": 0,
    }  # fmt: skip
    assert written["versions"]["python"]
    assert written["command"] == ["vlaserve-libero", "eval"]


@pytest.mark.parametrize("fixtures", ["openpi", "episode"])
def test_a_resumed_run_ends_like_one_that_was_not_interrupted(
    tmp_path: Path, fixtures: str
) -> None:
    rules = protocol("openpi").changed(fixtures=fixtures)
    whole = make_settings(tmp_path / "whole", tasks=(0, 1), trials=3, protocol=rules)
    run(whole)
    parts = replace(whole, results=tmp_path / "parts")
    run(parts)
    keep_lines(parts.results, 2)
    said = run(parts)
    assert "2 of 6 are done" in said
    assert [outcome_of(r) for r in records(parts.results)] == [
        outcome_of(r) for r in records(whole.results)
    ]
    assert len((parts.results / "episodes.jsonl").read_bytes().splitlines()) == 6
    assert len(run_json(parts.results)["resumed"]) == 1


def test_a_complete_run_is_not_run_again(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    run(settings)
    before = (tmp_path / "episodes.jsonl").read_bytes()
    said = run(settings)
    assert "2 of 2 are done" in said
    assert (tmp_path / "episodes.jsonl").read_bytes() == before


def test_trials_and_tasks_can_be_added(tmp_path: Path) -> None:
    run(make_settings(tmp_path))
    run(make_settings(tmp_path, trials=3, tasks=(0, 1)))
    assert len(records(tmp_path)) == 6
    assert run_json(tmp_path)["episodes"]["trials"] == 3


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"seed": 8}, "seed was 7, is 8"),
        ({"protocol": protocol("lerobot")}, "protocol.replan_steps was 5, is 10"),
        ({"options": {"resolution": 64}}, "protocol.options.resolution was 32, is 64"),
        ({"policy": PolicySettings("open_loop")}, "policy was 'scripted', is 'open_loop'"),
        ({"first_init_state": 3}, "first_init_state was 0, is 3"),
        ({"trials": 1}, "trials was 2, is 1"),
        ({"tasks": (1,)}, r"tasks of pick_and_place was \[0\], is \[1\]"),
    ],
)
def test_a_run_is_not_resumed_with_other_settings(
    tmp_path: Path, changes: Dict[str, Any], difference: str
) -> None:
    run(make_settings(tmp_path))
    if "trials" not in changes:
        changes = {"trials": 3, **changes}  # so that something is left to do
    before = (tmp_path / "episodes.jsonl").read_bytes()
    with pytest.raises(EvaluationError, match=difference):
        run(make_settings(tmp_path, **changes))
    assert (tmp_path / "episodes.jsonl").read_bytes() == before


def test_restart_sets_the_earlier_run_aside(tmp_path: Path) -> None:
    run(make_settings(tmp_path))
    damaged = b"damaged\n" + (tmp_path / "episodes.jsonl").read_bytes()
    (tmp_path / "episodes.jsonl").write_bytes(damaged)
    said = run(make_settings(tmp_path, seed=8, restart=True))
    (aside,) = tmp_path.glob("before_*")
    assert str(aside) in said
    assert (aside / "episodes.jsonl").read_bytes() == damaged
    assert (aside / "run.json").exists()
    assert {r.seed for r in records(tmp_path)} == {8}


def test_episodes_without_settings_are_not_taken_for_a_run(tmp_path: Path) -> None:
    run(make_settings(tmp_path))
    (tmp_path / "run.json").unlink()
    with pytest.raises(EvaluationError, match=r"has episodes\.jsonl but no run\.json"):
        run(make_settings(tmp_path))


def test_a_simulator_error_is_counted_apart_and_run_again(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, trials=3)
    faulty = {"resolution": 32, "fail_at": 4, "fail_init_state": 1}
    said = run(replace(settings, options=faulty))
    assert [r.outcome for r in records(tmp_path)] == ["success", "error", "success"]
    assert records(tmp_path)[1].error == "injected fault at step 4"
    assert "1 errors" in said
    written = run_json(tmp_path)
    written["protocol"]["options"] = {"resolution": 32}
    run_file.write_run(tmp_path, written)  # as if the fault had gone by itself
    run(settings)
    assert [r.outcome for r in records(tmp_path)] == ["success"] * 3
    assert len((tmp_path / "episodes.jsonl").read_bytes().splitlines()) == 4


def test_what_comes_after_a_simulator_error_is_as_without_it(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "good", trials=3)
    run(settings)
    faulty = {"resolution": 32, "fail_at": 4, "fail_init_state": 1}
    run(replace(settings, results=tmp_path / "bad", options=faulty))
    good, bad = records(tmp_path / "good"), records(tmp_path / "bad")
    assert outcome_of(good[2]) == outcome_of(bad[2])


def test_an_environment_that_failed_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: List[FakeEnvironment] = []
    resets = Resets(monkeypatch, used.append)
    one = runner(tmp_path, "episode", options={"fail_at": 2, "fail_init_state": 1})
    outcomes = [one.run(Episode(SUITE, 0, e, e)).outcome for e in range(4)]
    assert outcomes == ["failure", "error", "failure", "failure"]
    assert len(resets.calls) == 4
    assert used[0] is used[1]
    assert used[2] is not used[1]
    assert used[3] is used[2]
    with pytest.raises(SimulatorError, match="closed"):
        used[1].privileged()


@pytest.mark.parametrize("videos", ["all", "failures"])
def test_videos_of_the_episodes_that_were_asked_for(tmp_path: Path, videos: str) -> None:
    pytest.importorskip("av")
    # Too few steps for the first two init states.
    rules = protocol("openpi").changed(max_steps=109)
    run(make_settings(tmp_path, videos=videos, trials=3, protocol=rules))
    named = {r.outcome: r.video for r in records(tmp_path)}
    assert set(named) == {"success", "failure"}
    assert named["failure"] and (tmp_path / named["failure"]).stat().st_size > 0
    assert (named["success"] is not None) == (videos == "all")
    files = sorted(p.name for p in (tmp_path / "videos").iterdir())
    assert files == sorted(Path(r.video).name for r in records(tmp_path) if r.video)


def test_the_open_loop_baseline_runs(tmp_path: Path) -> None:
    run(make_settings(tmp_path, policy=PolicySettings("open_loop"), trials=3))
    first, *others = records(tmp_path)
    assert first.outcome == "success"  # it plays what was recorded from this very init state
    assert all(r.actions[:60] == first.actions[:60] for r in others)


def test_an_environment_that_cannot_be_made_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"cannot make the environment .*resolution is 2"):
        run(make_settings(tmp_path, options={"resolution": 2}))
    assert records(tmp_path) == []


def test_a_suite_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there twice"):
        run(make_settings(tmp_path, suites=(SUITE, SUITE)))


class Resets:
    """What FakeEnvironment is reset with."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tell: Callable[[FakeEnvironment], None] = lambda environment: None,
    ) -> None:
        self.calls: List[Any] = []
        real = FakeEnvironment.reset

        def reset(environment: FakeEnvironment, init_state: int, **options: Any) -> Any:
            tell(environment)
            self.calls.append((init_state, options.get("seed"), options.get("settle_steps")))
            return real(environment, init_state, **options)

        monkeypatch.setattr(FakeEnvironment, "reset", reset)


def test_openpi_s_fixtures_are_seeded_once_and_drawn_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resets = Resets(monkeypatch)
    one = runner(tmp_path, "openpi")
    for episode in range(3):
        one.run(Episode(SUITE, 0, episode, 40 + episode))
    assert resets.calls == [(40, 7, 10), (41, None, 10), (42, None, 10)]


def test_openpi_s_fixtures_are_where_they_were_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resets = Resets(monkeypatch)
    one = runner(tmp_path, "openpi")
    one.run(Episode(SUITE, 0, 2, 42))
    assert resets.calls == [(40, 7, 0), (41, None, 0), (42, None, 10)]
    # An episode that is run again needs the resets from the beginning.
    one.run(Episode(SUITE, 0, 1, 41))
    assert resets.calls[3:] == [(40, 7, 0), (41, None, 10)]


def test_the_fixtures_of_each_episode_are_seeded_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resets = Resets(monkeypatch)
    one = runner(tmp_path, "episode")
    for episode in (2, 0):
        one.run(Episode(SUITE, 0, episode, episode))
    assert resets.calls == [(e, fixture_seed(7, SUITE, 0, e), 10) for e in (2, 0)]
