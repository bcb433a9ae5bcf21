"""Records and results folders for tests of what is made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Sequence

from vlaserve_libero.records import EpisodeRecord


def make_record(outcome: str = "success", **changes: Any) -> EpisodeRecord:
    """An episode of three steps and one query, with the given fields in place of its own."""
    values: Dict[str, Any] = {
        "suite": "libero_object",
        "task_id": 0,
        "task": "pick_up_the_milk",
        "prompt": "pick up the milk",
        "episode": 0,
        "init_state": 40,
        "seed": 7,
        "outcome": outcome,
        "steps": 3,
        "queries": 1,
        "error": "the renderer gave up" if outcome == "error" else None,
        "reset_s": 1.5,
        "episode_s": 4.0,
        "started_at": "2026-03-01T10:00:00.000+00:00",
        "latency_ms": [20.0],
        "server_ms": [18.0],
        "actions": [[0.0, 0.1], [0.2, 0.3], [0.4, 0.5]],
        "first_chunk": [[0.0, 0.1], [0.2, 0.3], [0.4, 0.5], [0.6, 0.7]],
    }
    return EpisodeRecord(**{**values, **changes})


def make_run(**changes: Any) -> Dict[str, Any]:
    """The content of a run.json."""
    return {
        "protocol": {"name": "openpi", "settle_steps": 10, "replan_steps": 5},
        "seed": 7,
        "server": {"version": "1.2.3"},
        **changes,
    }


def make_folder(folder: Path, records: Sequence[EpisodeRecord], **run: Any) -> Path:
    """A results folder as a run leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(make_run(**run)), encoding="utf-8")
    lines = [json.dumps(record.to_json()) + "\n" for record in records]
    (folder / "episodes.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder
