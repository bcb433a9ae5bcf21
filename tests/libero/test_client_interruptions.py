"""Servers that go away, come back, are full or say nothing: nothing stale, nothing endless."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List

import pytest
from fake_server import FakeServer, queue_full, unavailable

from vlaserve_libero import VlaservePolicy
from vlaserve_libero.errors import (
    DeadlineExceeded,
    PolicyChanged,
    QueueFull,
    ServerUnavailable,
)

Observation = Dict[str, Any]


def loading() -> None:
    raise unavailable("LOADING")


def draining() -> None:
    raise unavailable("DRAINING")


def full() -> None:
    raise queue_full(0.05)


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        (loading, ServerUnavailable, "LOADING"),
        (draining, ServerUnavailable, "DRAINING"),
        (full, QueueFull, "QUEUE_FULL"),
    ],
)
def test_a_robot_s_request_is_never_repeated(
    fault: Callable[[], None],
    kind: Any,
    reason: str,
    fake_server: FakeServer,
    small_observation: Observation,
) -> None:
    fake_server.faults = [fault]
    with VlaservePolicy(port=fake_server.port) as policy:
        with pytest.raises(kind) as caught:
            policy.infer(small_observation)
        assert caught.value.reason == reason
        assert len(fake_server.requests) == 1
        # The next observation is welcome.
        assert policy.infer(small_observation)["actions"].shape == (4, 7)


def test_the_server_s_hint_when_to_repeat(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    fake_server.faults = [full]
    with VlaservePolicy(port=fake_server.port) as policy:
        with pytest.raises(QueueFull) as caught:
            policy.infer(small_observation)
    assert caught.value.retry_after_s == pytest.approx(0.05)


def test_a_young_observation_is_asked_again(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    fake_server.faults = [loading, draining, full]
    with VlaservePolicy(port=fake_server.port, max_observation_age_s=20) as policy:
        policy.infer(small_observation, seed=5)
        assert policy.last_interruptions == 2  # a full queue is no interruption
        policy.infer(small_observation, seed=6)
        assert (policy.last_interruptions, policy.interruptions) == (0, 2)
    sent: List[Any] = [(r.request_id, r.sequence, r.seed) for r in fake_server.requests]
    assert [seed for _, _, seed in sent] == [5, 5, 5, 5, 6]
    # A repetition must win against its forerunner, should the server still have that.
    assert [sequence for _, sequence, _ in sent] == [1, 2, 3, 4, 5]
    assert len({request_id for request_id, _, _ in sent[:4]}) == 1


def test_an_old_observation_is_not_asked_again(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    def slow_and_gone() -> None:
        time.sleep(0.3)
        raise unavailable()

    fake_server.faults = [slow_and_gone]
    with VlaservePolicy(port=fake_server.port, max_observation_age_s=0.2) as policy:
        with pytest.raises(ServerUnavailable):
            policy.infer(small_observation)
    assert len(fake_server.requests) == 1


def test_the_wait_for_a_server_ends_with_the_observation_s_age(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    with VlaservePolicy(port=fake_server.port, max_observation_age_s=0.5) as policy:
        fake_server.close()
        start = time.monotonic()
        with pytest.raises(ServerUnavailable, match="was not ready within"):
            policy.infer(small_observation)
        assert 0.3 < time.monotonic() - start < 5


def test_a_server_that_says_nothing_costs_one_deadline(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    fake_server.faults = [fake_server.hang]
    policy = VlaservePolicy(port=fake_server.port, deadline_s=0.5, max_observation_age_s=20)
    with policy:
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            policy.infer(small_observation)
        assert 0.4 < time.monotonic() - start < 5
        assert len(fake_server.requests) == 1
        # The late answer of the first request is nobody's; this one has its own.
        assert policy.infer(small_observation)["request_id"].endswith(".1.2")


def test_another_policy_behind_the_same_address(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    with VlaservePolicy(port=fake_server.port) as policy:
        policy.infer(small_observation)
        fake_server.info.policy.archive_sha256 = "cd" * 32
        with pytest.raises(PolicyChanged) as caught:
            policy.infer(small_observation)
        assert f"archive_sha256: '{'ab' * 32}' -> '{'cd' * 32}'" in str(caught.value)
        with pytest.raises(PolicyChanged):
            policy.wait_ready(5)


def test_another_quantization_behind_the_same_address(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    with VlaservePolicy(port=fake_server.port) as policy:
        fake_server.info.quantization.engine = "int"
        with pytest.raises(PolicyChanged, match=r"quantization: .*'off'.* -> .*'int'"):
            policy.infer(small_observation)


def test_memory_and_threads_are_no_other_policy(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    with VlaservePolicy(port=fake_server.port) as policy:
        fake_server.info.quantization.resident_anonymous_bytes = 1234
        fake_server.info.runtime.threads = 7
        fake_server.info.limits.queue_capacity = 9
        policy.infer(small_observation)


def test_after_close_a_call_is_an_error(
    fake_server: FakeServer, small_observation: Observation
) -> None:
    policy = VlaservePolicy(port=fake_server.port)
    policy.close()
    with pytest.raises(ValueError, match="closed"):
        policy.infer(small_observation)
