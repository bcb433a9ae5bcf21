"""The content of episodes.csv: one row per episode, for spreadsheets."""

from __future__ import annotations

import csv
import io
from typing import Optional, Sequence

from vlaserve_libero.records import EpisodeRecord
from vlaserve_libero.results.statistics import distribution

COLUMNS = (
    "suite", "task_id", "task", "prompt", "episode", "init_state", "seed", "outcome", "success",
    "steps", "queries", "interruptions", "reset_s", "episode_s", "started_at",
    "latency_mean_ms", "latency_p50_ms", "latency_p99_ms", "latency_max_ms", "server_mean_ms",
    "video", "error",
)  # fmt: skip


def episodes_csv(records: Sequence[EpisodeRecord]) -> str:
    """One header line, then a line per record in the order given; RFC 4180 quoting, LF ends.

    `success` is 1 or 0, and empty for an episode that ended in an error. Latencies are empty where
    the policy was never asked.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        latency = distribution(record.latency_ms) or {}
        server = distribution(record.server_ms) or {}

        def number(value: Optional[float]) -> str:
            return "" if value is None else f"{value:.3f}"

        success = {"success": "1", "failure": "0", "error": ""}[record.outcome]
        writer.writerow([
            record.suite, record.task_id, record.task, record.prompt, record.episode,
            record.init_state, record.seed, record.outcome, success,
            record.steps, record.queries, record.interruptions,
            number(record.reset_s), number(record.episode_s), record.started_at,
            number(latency.get("mean")), number(latency.get("p50")), number(latency.get("p99")),
            number(latency.get("max")), number(server.get("mean")),
            record.video or "", record.error or "",
        ])  # fmt: skip
    return text.getvalue()
