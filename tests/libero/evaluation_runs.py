"""Evaluations for tests: settings with the fake environment, and what a run has left."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List

from vlaserve_libero.evaluation.policies import PolicySettings
from vlaserve_libero.evaluation.protocol import protocol
from vlaserve_libero.evaluation.run import run_evaluation
from vlaserve_libero.evaluation.settings import RunSettings
from vlaserve_libero.records import EpisodeRecord
from vlaserve_libero.results.files import read_records

SUITE = "pick_and_place"


def make_settings(results: Path, **changes: Any) -> RunSettings:
    """The scripted policy in the fake environment, two episodes of task 0."""
    settings = RunSettings(
        environment="fake",
        options={"resolution": 32},
        suites=(SUITE,),
        tasks=(0,),
        trials=2,
        first_init_state=0,
        seed=7,
        protocol=protocol("openpi"),
        policy=PolicySettings("scripted"),
        workers=1,
        results=results,
        restart=False,
        videos="none",
        video_folder=results / "videos",
        video_fps=10,
        plots=False,
        command=("vlaserve-libero", "eval"),
    )
    return replace(settings, **changes)


def ask(server: str, **changes: Any) -> PolicySettings:
    """The policy of a server."""
    settings = PolicySettings("server", server=server, deadline_s=60.0, server_wait_s=60.0)
    return replace(settings, **changes)


def run(settings: RunSettings) -> str:
    """Runs an evaluation; returns what it said on stderr."""
    stderr = io.StringIO()
    run_evaluation(settings, stderr)
    return stderr.getvalue()


def records(folder: Path) -> List[EpisodeRecord]:
    return read_records(folder)


def run_json(folder: Path) -> Dict[str, Any]:
    value: Dict[str, Any] = json.loads((folder / "run.json").read_text())
    return value


def outcome_of(record: EpisodeRecord) -> Dict[str, Any]:
    """What a repetition of the episode must have in common with it: all but the clock."""
    value = record.to_json()
    for name in ("reset_s", "episode_s", "started_at", "latency_ms", "server_ms"):
        del value[name]
    return value
