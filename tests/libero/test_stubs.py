"""The committed messages: up to date, and good company for other packages in one process."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Tuple

import pytest
from server_process import REPOSITORY

PACKAGE = REPOSITORY / "docker" / "libero"
STUBS = ("policy_pb2.py", "policy_pb2.pyi", "standard_pb2.py", "standard_pb2.pyi")


def protoc() -> str:
    program = shutil.which("protoc")
    if program is None:
        pytest.skip("no protoc (Debian: protobuf-compiler)")
    version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    if not version.stdout.startswith("libprotoc 3.21."):
        pytest.skip(f"{version.stdout.strip()}; the stubs are made with 3.21 (Debian 12)")
    return program


def test_committed_stubs_are_what_the_script_generates(tmp_path: Path) -> None:
    protoc()
    subprocess.run(["bash", str(PACKAGE / "generate_stubs.sh"), str(tmp_path)], check=True)
    for name in STUBS:
        committed = PACKAGE / "src" / "vlaserve_libero" / "_rpc" / name
        assert (tmp_path / name).read_text() == committed.read_text(), (
            f"{name} is out of date: run docker/libero/generate_stubs.sh"
        )


def run(code: str, *, path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["ours first", "theirs first"])
def test_public_protocols_may_be_loaded_too(order: Tuple[int, int], tmp_path: Path) -> None:
    """grpcio-health-checking and googleapis-common-protos register the public names."""
    theirs = "import grpc_health.v1.health_pb2, google.rpc.status_pb2, google.rpc.error_details_pb2"
    ours = "import vlaserve_libero"
    for package in ("grpc_health", "google.rpc.status_pb2"):
        pytest.importorskip(package, reason="grpcio-health-checking, googleapis-common-protos")
    run("; ".join((ours, theirs)[i] for i in order), path=tmp_path)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["ours first", "theirs first"])
def test_a_user_s_own_stubs_of_the_contract_may_be_loaded_too(
    order: Tuple[int, int], tmp_path: Path
) -> None:
    subprocess.run(
        [
            protoc(),
            f"-I{REPOSITORY / 'proto'}",
            f"--python_out={tmp_path}",
            "vlaserve/v1/policy.proto",
        ],
        check=True,
    )
    both = ("import vlaserve_libero", "import vlaserve.v1.policy_pb2")
    run("; ".join(both[i] for i in order), path=tmp_path)


def test_details_are_read_as_google_writes_them() -> None:
    """Our private messages have the public ones' bytes."""
    error_details = pytest.importorskip(
        "google.rpc.error_details_pb2", reason="googleapis-common-protos is not installed"
    )
    from vlaserve_libero._rpc import standard_pb2

    retry = error_details.RetryInfo()
    retry.retry_delay.FromMilliseconds(1500)
    delay = standard_pb2.RetryInfo.FromString(retry.SerializeToString()).retry_delay
    assert (delay.seconds, delay.nanos) == (1, 500_000_000)
    bad = error_details.BadRequest()
    bad.field_violations.add(field="state", description="too short")
    ours = standard_pb2.BadRequest.FromString(bad.SerializeToString())
    assert ours.field_violations[0].field == "state"
    info = error_details.ErrorInfo(reason="LOADING", domain="vlaserve")
    assert standard_pb2.ErrorInfo.FromString(info.SerializeToString()).reason == "LOADING"
