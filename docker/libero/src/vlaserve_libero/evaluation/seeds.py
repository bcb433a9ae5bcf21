"""Seeds of single draws, derived from the run's seed.

Each is the beginning of SHA-256 over a text that names the draw, for instance

    vlaserve-libero query 7 libero_object 3 12 0

(run seed, suite, task, episode, query). So a draw depends on nothing that came before it: two runs
with the same seed are paired query by query whatever their policies do, and a resumed or parallel
run draws what an uninterrupted one does.
"""

from __future__ import annotations

import hashlib


def _derived(text: str, bits: int) -> int:
    digest = hashlib.sha256(f"vlaserve-libero {text}".encode()).digest()
    return int.from_bytes(digest[:8], "little") % (1 << bits)


def query_seed(run_seed: int, suite: str, task_id: int, episode: int, query: int) -> int:
    """Seed of a policy's noise: 63 bits, which every signed 64-bit number can hold."""
    return _derived(f"query {run_seed} {suite} {task_id} {episode} {query}", 63)


def fixture_seed(run_seed: int, suite: str, task_id: int, episode: int) -> int:
    """Seed of an episode's fixture poses: 32 bits, as numpy's global generator takes them."""
    return _derived(f"fixtures {run_seed} {suite} {task_id} {episode}", 32)
