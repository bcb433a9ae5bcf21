#!/usr/bin/env python3
"""Measures OpenVINO's linears turn by turn with vlaserve's integer kernels.

OpenVINO is the strongest peer on a CPU: it multiplies 4-bit weights with activations that it
quantizes to 8 bits on the way, which is the work of vlaserve's W4A8. This program computes the same
linears with both. `vlaserve bench kernels --step` runs beside it and measures a round whenever it
is told to; in between, OpenVINO measures one. A slow moment of the machine hits both.

Both sides quantize the activations inside the time measured. OpenVINO decides for itself in which
precision it computes: it may ignore the wish for 8-bit activations on a processor without the
instructions for them. What it really did is read off its runtime model and off its results, and
printed.

Example:
    python openvino_peer.py build/release/vlaserve --threads 2 --shapes llm.o --rows 51,816
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

Floats = NDArray[np.float32]
Json = dict[str, Any]

LINEARS = (
    "llm.qkv,llm.o,llm.gate_up,llm.down,expert.qkv,expert.o,expert.gate_up,expert.down,"
    "vision.qkv,vision.o,vision.fc1,vision.fc2,vision.projector"
)
GROUP = 128
# A group size that OpenVINO takes as "one scale per token".
PER_TOKEN = 2**64 - 1
OURS = (
    "w4_row+quantize",
    "w4_g128+quantize",
    "w4_g128_a128+quantize",
    "w8_row+quantize",
)
# Seconds in which the threads of the side that has just computed stop to spin and go to sleep.
PAUSE = 0.1
# Results further from float32 than this come from rounded activations.
ROUNDED = 1e-4


@dataclass(frozen=True)
class Peer:
    """A way in which OpenVINO computes a linear.

    Attributes:
        name: As printed.
        weight_type: Type in which the weight is stored.
        weight_group: Columns per scale of the weight; 0: one scale per row.
        activation_group: Columns per scale of 8-bit activations that is asked for; 0: none.
        precision: Precision of the rest ("f32" or "bf16").
    """

    name: str
    weight_type: str
    weight_group: int
    activation_group: int
    precision: str


PEERS = (
    Peer("ov_w4_row_dyn", "u4", 0, PER_TOKEN, "f32"),
    Peer("ov_w4_g128_dyn128", "u4", GROUP, GROUP, "f32"),
    Peer("ov_w4_g128_dyn_token", "u4", GROUP, PER_TOKEN, "f32"),
    Peer("ov_i4_g128_dyn128", "i4", GROUP, GROUP, "f32"),
    Peer("ov_w8_row_dyn", "i8", 0, PER_TOKEN, "f32"),
    Peer("ov_w4_g128_bf16", "u4", GROUP, 0, "bf16"),
    Peer("ov_bf16", "f32", 0, 0, "bf16"),
    Peer("ov_f32", "f32", 0, 0, "f32"),
)

# Which of ours does the same work as which of OpenVINO's.
PAIRS = (
    ("w4_row+quantize", "ov_w4_row_dyn"),
    ("w4_g128_a128+quantize", "ov_w4_g128_dyn128"),
    ("w4_g128+quantize", "ov_w4_g128_dyn_token"),
    ("w8_row+quantize", "ov_w8_row_dyn"),
)


@dataclass
class Weight:
    """A weight that all formats hold exactly: whole numbers -7 … 7 times a scale per row."""

    codes: NDArray[np.int8]
    scales: Floats

    @staticmethod
    def random(out_features: int, in_features: int, rng: np.random.Generator) -> Weight:
        """Makes a weight [out_features, in_features]."""
        codes = rng.integers(-7, 8, (out_features, in_features), dtype=np.int8)
        size = 1 / math.sqrt(56 / 3 * in_features)
        scales = rng.uniform(0.5, 1.5, (out_features, 1)) * size
        return Weight(codes, scales.astype(np.float16).astype(np.float32))

    def float32(self) -> Floats:
        """Returns the values."""
        return self.codes * self.scales


def weight_node(weight: Weight, peer: Peer) -> ov.Node:
    """Returns the float32 weight as OpenVINO's compressed-weight pattern."""
    if peer.weight_type == "f32":
        return ops.constant(weight.float32())
    out_features, in_features = weight.codes.shape
    codes, scales = weight.codes, weight.scales
    if peer.weight_group > 0:
        groups = in_features // peer.weight_group
        codes = codes.reshape(out_features, groups, peer.weight_group)
        scales = np.repeat(scales[:, :, None], groups, axis=1)
    unsigned = peer.weight_type == "u4"
    node = ops.convert(packed_constant(codes + 8 if unsigned else codes, peer.weight_type), "f16")
    if unsigned:
        node = ops.subtract(node, ops.constant(np.full([1] * codes.ndim, 8, np.float16)))
    node = ops.multiply(node, ops.constant(scales.astype(np.float16)))
    if peer.weight_group > 0:
        node = ops.reshape(node, np.array([out_features, in_features]), special_zero=False)
    return ops.convert(node, "f32")


def packed_constant(codes: NDArray[np.int8], type_name: str) -> ov.Node:
    """Returns a constant of a type that NumPy need not have."""
    if type_name == "i8":
        return ops.constant(codes)
    nibbles = codes.reshape(-1).astype(np.uint8) & 15
    tensor = ov.Tensor(ov.Type.u4 if type_name == "u4" else ov.Type.i4, ov.Shape(codes.shape))
    # The bytes of a packed type.
    tensor.data.reshape(-1).view(np.uint8)[:] = nibbles[0::2] | (nibbles[1::2] << 4)
    return ops.constant(tensor)


@dataclass
class PeerRun:
    """One linear, compiled, and what was measured.

    Attributes:
        peer: The way.
        copies: How many times the linear is in the model, each time with other weights.
        request: Computes all of them.
        executed: What OpenVINO says of the layer: precision and implementation.
        error: Of the result against float32.
        seconds: Per linear, of every round.
        missing: Why it cannot run; empty if it can.
    """

    peer: Peer
    copies: int = 1
    request: ov.InferRequest | None = None
    executed: str = ""
    error: float = 0.0
    seconds: list[float] = field(default_factory=list)
    missing: str = ""

    def turn(self, seconds: float) -> None:
        """Computes for so long, at least once."""
        assert self.request is not None
        linears = 0
        begin = time.perf_counter()
        while True:
            self.request.infer()
            linears += self.copies
            spent = time.perf_counter() - begin
            if spent >= seconds:
                break
        self.seconds.append(spent / linears)


def stored_bytes(peer: Peer, out_features: int, in_features: int) -> int:
    """Returns about how much a compiled weight takes."""
    bits = {"u4": 4, "i4": 4, "i8": 8, "f32": 16 if peer.precision == "bf16" else 32}
    return out_features * in_features * bits[peer.weight_type] // 8


def executed_as(compiled: ov.CompiledModel) -> list[str]:
    """Says of every matrix product in the runtime model how it is computed."""
    found = []
    for node in compiled.get_runtime_model().get_ordered_ops():
        info = node.get_rt_info()
        kind = str(info["layerType"].astype(str)) if "layerType" in info else ""
        if kind in ("FullyConnected", "MatMul"):
            keys = [key for key in ("primitiveType", "runtimePrecision") if key in info]
            found.append(" ".join([kind, *(str(info[key].astype(str)) for key in keys)]))
    return found


def compile_copies(
    core: ov.Core, peer: Peer, weight: Weight, rows: int, arguments: argparse.Namespace
) -> tuple[ov.CompiledModel, int]:
    """Compiles a model of as many linears as arguments.stream_mib wants, of one input.

    Several compiled models would have threads of their own, which OpenVINO has to wake up.
    """
    out_features, in_features = weight.codes.shape
    wanted = math.ceil((arguments.stream_mib << 20) / stored_bytes(peer, out_features, in_features))
    copies = min(wanted, arguments.max_copies)
    parameter = ops.parameter([rows, in_features], np.float32)
    products = []
    for copy in range(copies):
        # Other rows in front: equal weights might become one.
        rolled = Weight(np.roll(weight.codes, copy, axis=0), np.roll(weight.scales, copy, axis=0))
        products.append(ops.matmul(parameter, weight_node(rolled, peer), False, True))
    config: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": arguments.threads,
        "INFERENCE_PRECISION_HINT": peer.precision,
        # As text: it is wider than what a Python number is converted to.
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(peer.activation_group),
    }
    return core.compile_model(ov.Model(products, [parameter]), "CPU", config), copies


def prepare(
    core: ov.Core, peer: Peer, weight: Weight, x: Floats, arguments: argparse.Namespace
) -> PeerRun:
    """Compiles the linear and computes once."""
    in_features = weight.codes.shape[1]
    if peer.weight_group > 0 and in_features % peer.weight_group != 0:
        reason = f"groups of {peer.weight_group} do not divide {in_features} columns"
        return PeerRun(peer, missing=reason)
    try:
        compiled, copies = compile_copies(core, peer, weight, x.shape[0], arguments)
        request = compiled.create_infer_request()
        request.set_input_tensor(ov.Tensor(x, shared_memory=True))
        request.infer()
        executed = executed_as(compiled)
    except RuntimeError as error:
        return PeerRun(peer, missing=str(error).strip().splitlines()[-1])
    if len(executed) != copies:
        return PeerRun(peer, missing=f"{copies} linears became {len(executed)}")
    expected = x @ weight.float32().T
    y = request.get_output_tensor(0).data
    distance = float(np.linalg.norm(y - expected) / np.linalg.norm(expected))
    return PeerRun(peer, copies, request, "; ".join(sorted(set(executed))), distance)


class Vlaserve:
    """`vlaserve bench kernels --step`: a round whenever it is told to."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        command = [
            str(arguments.program),
            "bench",
            "kernels",
            "--step",
            f"--shapes={arguments.shapes}",
            f"--rows={arguments.rows}",
            f"--contenders={','.join(OURS)},linear_f32",
            f"--rounds={arguments.rounds}",
            f"--threads={arguments.threads}",
            f"--turn-ms={arguments.turn_ms}",
            f"--stream-mib={arguments.stream_mib}",
        ]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def event(self) -> Json:
        """Reads the next event; the last one is the report, which has "cases"."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"vlaserve ended with exit code {self._process.wait()}")
        event: Json = json.loads(line)
        return event

    def round(self) -> None:
        """Has every contender of vlaserve take its turn."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.event()


def measured_cases(arguments: argparse.Namespace) -> Iterator[Json]:
    """Yields every case with the results of both sides."""
    core = ov.Core()
    rng = np.random.default_rng(1)
    ours = Vlaserve(arguments)
    cases: list[Json] = []
    while "cases" not in (event := ours.event()):
        print(f"{event['ready']}, {event['rows']} rows", file=sys.stderr)
        weight = Weight.random(event["out_features"], event["in_features"], rng)
        x = rng.standard_normal((event["rows"], event["in_features"])).astype(np.float32)
        runs = [prepare(core, peer, weight, x, arguments) for peer in PEERS]
        for _ in range(arguments.rounds):
            time.sleep(PAUSE)
            ours.round()
            time.sleep(PAUSE)
            for run in runs:
                if not run.missing:
                    run.turn(arguments.turn_ms * 1e-3)
        cases.append({"event": event, "peers": [peer_json(run, event) for run in runs]})
    for case, report in zip(cases, event["cases"], strict=True):
        yield {**report, "peak_gops": event["peaks"]["integer_gops"], "peers": case["peers"]}


def peer_json(run: PeerRun, event: Json) -> Json:
    """Returns what was measured of one way."""
    if run.missing:
        return {"name": run.peer.name, "missing": run.missing}
    operations = 2 * event["rows"] * event["in_features"] * event["out_features"]
    best = min(run.seconds)
    return {
        "name": run.peer.name,
        "best_ms": best * 1e3,
        "median_ms": statistics.median(run.seconds) * 1e3,
        "gops": operations / best * 1e-9,
        "copies": run.copies,
        "executed": run.executed,
        "error": run.error,
        "activations_rounded": run.error > ROUNDED,
    }


def by_name(results: list[Json]) -> dict[str, Json]:
    """Returns those that were measured."""
    return {result["name"]: result for result in results if "best_ms" in result}


def with_ratios(case: Json) -> Json:
    """Adds how many times as fast ours is as OpenVINO's for the same work."""
    ours, peers = by_name(case["contenders"]), by_name(case["peers"])
    case["ratios"] = {
        f"{mine} / {theirs}": peers[theirs]["best_ms"] / ours[mine]["best_ms"]
        for mine, theirs in PAIRS
        if mine in ours and theirs in peers
    }
    return case


def text(case: Json) -> str:
    """Returns the table of a case."""
    lines = [f"{case['shape']} ({case['sizes']}), {case['rows']} rows"]
    head = f"  {'':24}{'best ms':>10}{'median ms':>11}{'GOP/s':>8}{'error':>10}"
    lines.append(head)
    for result in case["contenders"] + case["peers"]:
        if "best_ms" not in result:
            lines.append(f"  {result['name']}: {result['missing']}")
            continue
        line = (
            f"  {result['name']:24}{result['best_ms']:10.3f}{result['median_ms']:11.3f}"
            f"{result['gops']:8.1f}{result['error']:10.5f}"
        )
        lines.append(line + (f"  {result['executed']}" if "executed" in result else ""))
    lines += [f"  {pair}: {ratio:.2f} times as fast" for pair, ratio in case["ratios"].items()]
    return "\n".join(lines) + "\n"


def markdown(cases: list[Json]) -> str:
    """Returns the README's table."""
    names = [name for pair in PAIRS for name in pair] + ["ov_w4_g128_bf16", "ov_bf16", "ov_f32"]
    head = ["linear, GOP/s", "rows", *names, *(f"{mine} / {theirs}" for mine, theirs in PAIRS)]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for case in cases:
        measured = by_name(case["contenders"] + case["peers"])
        cells = [f"{case['shape']} ({case['sizes']})", str(case["rows"])]
        cells += [f"{measured[name]['gops']:.0f}" if name in measured else "-" for name in names]
        for mine, theirs in PAIRS:
            ratio = case["ratios"].get(f"{mine} / {theirs}")
            cells.append("-" if ratio is None else f"{ratio:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description="Measures OpenVINO's linears turn by turn with vlaserve's integer kernels."
    )
    parser.add_argument("program", type=Path, help="vlaserve")
    parser.add_argument("--shapes", default=LINEARS, help="linears, as `vlaserve bench kernels`")
    parser.add_argument("--rows", default="1,10,51,532,816", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="of both; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--turn-ms", type=float, default=50, help="default: %(default)s")
    parser.add_argument(
        "--stream-mib",
        type=int,
        default=128,
        help="size of all copies of a weight together, more than the caches hold; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--max-copies",
        type=int,
        default=16,
        help="of a linear in OpenVINO's model; default: %(default)s",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print the README's table")
    arguments = parser.parse_args()
    for name in ("threads", "rounds", "stream_mib", "max_copies"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    return arguments


def main() -> None:
    """Runs the program."""
    arguments = parse_arguments()
    cases = []
    for case in measured_cases(arguments):
        cases.append(with_ratios(case))
        if not arguments.json and not arguments.markdown:
            print(text(cases[-1]), flush=True)
    if arguments.json:
        print(json.dumps({"openvino": ov.__version__, "cases": cases}, indent=2))
    if arguments.markdown:
        print(markdown(cases), end="")


if __name__ == "__main__":
    main()
