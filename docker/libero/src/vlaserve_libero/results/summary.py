"""The content of results.json: what a run's records add up to.

The keys of LeRobot's eval_info.json are there with LeRobot's meaning (src/lerobot/scripts/
lerobot_eval.py), so that tools that read those read these; more stands beside them. Every field is
described in RESULTS.md.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from vlaserve_libero.records import EpisodeRecord
from vlaserve_libero.results.errors import ResultsError
from vlaserve_libero.results.statistics import distribution, wilson_interval

# Raised when a field changes its meaning or goes away; new fields do not raise it.
SCHEMA_VERSION = 1


def _mean(values: Sequence[float]) -> Optional[float]:
    return sum(values) / len(values) if values else None


def _rewards(records: Sequence[EpisodeRecord]) -> List[float]:
    """Per success or failure the reward: LIBERO gives 1 in the step that succeeds, else 0."""
    return [1.0 if r.outcome == "success" else 0.0 for r in records if r.outcome != "error"]


def _videos(records: Sequence[EpisodeRecord]) -> List[str]:
    return [r.video for r in records if r.video is not None]


def _lerobot_aggregate(records: Sequence[EpisodeRecord]) -> Dict[str, Any]:
    rewards = _rewards(records)
    mean = _mean(rewards)
    return {
        "avg_sum_reward": mean,
        "avg_max_reward": mean,
        "pc_success": None if mean is None else 100 * mean,
        "n_episodes": len(rewards),
        "video_paths": _videos(records),
    }


def _statistics(records: Sequence[EpisodeRecord]) -> Dict[str, Any]:
    successes = [r for r in records if r.outcome == "success"]
    failures = [r for r in records if r.outcome == "failure"]
    scored = len(successes) + len(failures)
    return {
        "successes": len(successes),
        "failures": len(failures),
        "errors": len(records) - scored,
        "success_rate": len(successes) / scored if scored else None,
        "success_rate_ci95": list(wilson_interval(len(successes), scored)) if scored else None,
        "success_steps": distribution([r.steps for r in successes]),
        "queries": sum(r.queries for r in records),
        "interruptions": sum(r.interruptions for r in records),
        "interrupted_episodes": sum(r.interruptions > 0 for r in records),
        "latency_ms": distribution([ms for r in records for ms in r.latency_ms]),
        "server_ms": distribution([ms for r in records for ms in r.server_ms]),
    }


def start_time(record: EpisodeRecord) -> float:
    """The episode's start in seconds since 1970.

    Raises:
        ResultsError: `started_at` is no ISO 8601 time.
    """
    text = record.started_at
    try:
        # Python reads the suffix Z from version 3.11 on only.
        parsed = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    except ValueError as error:
        raise ResultsError(
            f"{record.suite} task {record.task_id} episode {record.episode}: "
            f"started_at is {text!r}, expected an ISO 8601 time"
        ) from error
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=timezone.utc)
    return parsed.timestamp()


def _busy_seconds(records: Sequence[EpisodeRecord]) -> float:
    """For how long at least one episode was running.

    Parallel episodes count once, and the pause before a resumed run does not count.
    """
    spans: List[Tuple[float, float]] = []
    for record in records:
        begin = start_time(record)
        spans.append((begin, begin + record.episode_s))
    total = 0.0
    until = float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def summarize(records: Sequence[EpisodeRecord], run: Mapping[str, Any]) -> Dict[str, Any]:
    """Adds up a run.

    Simulator errors are counted by themselves: they are neither in `n_episodes` nor in a rate.

    Args:
        records: The episodes that have ended, each key once.
        run: The content of run.json; goes into the result as it is.

    Returns:
        The content of results.json: finite numbers, texts, lists and objects only; null where
        there is nothing to compute a number from.

    Raises:
        ResultsError: An episode's start is no time.
    """
    by_task: Dict[Tuple[str, int], List[EpisodeRecord]] = {}
    by_suite: Dict[str, List[EpisodeRecord]] = {}
    for record in sorted(records, key=lambda r: r.key):
        by_task.setdefault((record.suite, record.task_id), []).append(record)
        by_suite.setdefault(record.suite, []).append(record)

    per_task = []
    for (suite, task_id), episodes in by_task.items():
        rewards = _rewards(episodes)
        per_task.append(
            {
                "task_group": suite,
                "task_id": task_id,
                "task": episodes[0].task,
                "prompt": episodes[0].prompt,
                "metrics": {
                    "sum_rewards": rewards,
                    "max_rewards": rewards,
                    "successes": [reward > 0 for reward in rewards],
                    "video_paths": _videos(episodes),
                },
                **_statistics(episodes),
            }
        )

    eval_s = _busy_seconds(records)
    overall = _lerobot_aggregate(records)
    overall["eval_s"] = eval_s
    overall["eval_ep_s"] = eval_s / max(1, overall["n_episodes"])
    return {
        "schema_version": SCHEMA_VERSION,
        "run": dict(run),
        "per_task": per_task,
        "per_group": {
            suite: {**_lerobot_aggregate(episodes), **_statistics(episodes)}
            for suite, episodes in by_suite.items()
        },
        "overall": {**overall, **_statistics(records)},
    }
