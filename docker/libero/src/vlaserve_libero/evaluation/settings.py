"""What a person asks of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional, Tuple

from vlaserve_libero.evaluation.policies import PolicySettings
from vlaserve_libero.evaluation.protocol import Protocol


@dataclass(frozen=True)
class RunSettings:
    """One `vlaserve-libero eval`.

    Attributes:
        environment: Its name in the registry.
        options: Of the environment.
        suites: Names of suites; for recordings folders.
        tasks: Ids, the same for each suite; None: all.
        trials: Episodes per task.
        first_init_state: Init state of each task's first episode.
        seed: Of the run; all others are derived from it.
        protocol: Figures of the episodes.
        policy: Whom to ask; what the server is expected to serve is not filled in yet.
        workers: Processes with an environment each.
        results: The results folder.
        restart: Whether to set aside what an earlier run has left there.
        videos: "none", "failures" or "all".
        video_folder: Where videos go.
        video_fps: Frames per second of simulated time.
        plots: Whether to draw plots at the end.
        command: The command line, for the record.
    """

    environment: str
    options: Mapping[str, Any]
    suites: Tuple[str, ...]
    tasks: Optional[Tuple[int, ...]]
    trials: int
    first_init_state: int
    seed: int
    protocol: Protocol
    policy: PolicySettings
    workers: int
    results: Path
    restart: bool
    videos: str
    video_folder: Path
    video_fps: int
    plots: bool
    command: Tuple[str, ...]
