"""Short names of tasks for tables and pictures."""

from __future__ import annotations

from typing import List, Sequence


def task_names(task_ids: Sequence[int], prompts: Sequence[str]) -> List[str]:
    """Names that tell tasks of one suite apart: "7 milk".

    The words that all prompts begin or end with are left out ("pick up the ... and place it in the
    basket"); a single prompt stays whole.

    Args:
        task_ids: Ids within the suite.
        prompts: The tasks in words, in the same order.

    Returns:
        A name per task: id and words.
    """
    words = [prompt.split() for prompt in prompts]
    start = end = 0
    if len(words) > 1:
        # At least one word of each prompt stays.
        spare = min(len(own) for own in words) - 1
        while start < spare and len({own[start] for own in words}) == 1:
            start += 1
        while start + end < spare and len({own[-1 - end] for own in words}) == 1:
            end += 1
    return [
        f"{task_id} {' '.join(own[start : len(own) - end])}"
        for task_id, own in zip(task_ids, words)
    ]
