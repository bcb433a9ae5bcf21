"""The command line `vlaserve-libero`. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Dict, List, NoReturn, Optional, Sequence

from vlaserve_libero import VlaservePolicy, __version__
from vlaserve_libero.compare import compare_runs, format_comparison, plot_comparison
from vlaserve_libero.environments.base import SimulatorError
from vlaserve_libero.errors import VlaserveError
from vlaserve_libero.evaluation import options as eval_options
from vlaserve_libero.evaluation.errors import EvaluationError, UsageError
from vlaserve_libero.evaluation.run import Interrupted, run_evaluation
from vlaserve_libero.results.actions import DEFAULT_THRESHOLD
from vlaserve_libero.results.errors import ResultsError
from vlaserve_libero.results.files import write_atomically, write_results
from vlaserve_libero.results.pictures import parse_run, plot_folders
from vlaserve_libero.results.table import format_table

FAILED, USAGE, INTERRUPTED = 1, 2, 130
INFO_WAIT_S = 10.0


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs a command.

    Args:
        arguments: Without the program's name; None: those of the process.

    Returns:
        The exit status.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    options.command_line = ["vlaserve-libero", *given]
    # As process 1 of a container there is no default action: without this it would not end.
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever read the output has left ("| head"); nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except UsageError as error:
        return _fail(str(error), USAGE)
    except (EvaluationError, VlaserveError, SimulatorError, ResultsError, OSError) as error:
        return _fail(str(error), FAILED)
    except Interrupted as error:
        return _fail(f"{error}: stopped; the same command resumes the run", INTERRUPTED)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: Optional[FrameType]) -> NoReturn:
    raise KeyboardInterrupt


def _fail(message: str, status: int) -> int:
    print(f"vlaserve-libero: {message}", file=sys.stderr, flush=True)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vlaserve-libero",
        description="Evaluates policies of a vlaserve server in simulators.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = commands.add_parser(
        "eval",
        help="run episodes and write the results",
        epilog=eval_options.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    eval_options.add_options(run)
    run.set_defaults(run=_eval)

    compare = commands.add_parser("compare", help="compare the paired episodes of two runs")
    compare.add_argument("a", metavar="A", type=Path, help="results folder")
    compare.add_argument("b", metavar="B", type=Path, help="results folder")
    compare.add_argument("--json", action="store_true", help="print JSON")
    compare.add_argument(
        "--threshold", type=float, default=DEFAULT_THRESHOLD, metavar="X",
        help="difference of an action at which trajectories part; default: %(default)g",
    )  # fmt: skip
    compare.add_argument("--plot", type=Path, metavar="FILE", help="also draw a PNG")
    compare.set_defaults(run=_compare)

    plot = commands.add_parser("plot", help="draw the success per task of several runs as a PNG")
    plot.add_argument("file", metavar="FILE", type=Path, help="PNG to write")
    plot.add_argument(
        "--panel", nargs="+", action="append", required=True, metavar=("TITLE", "LABEL=FOLDER"),
        help="a diagram and its runs; may be repeated, with the same labels",
    )  # fmt: skip
    plot.set_defaults(run=_plot)

    report = commands.add_parser(
        "report", help="make a run's results anew from its journal, also while it runs"
    )
    report.add_argument("folder", metavar="FOLDER", type=Path, help="results folder")
    report.add_argument("--plots", action="store_true", help="also draw plots/*.png")
    report.add_argument("--json", action="store_true", help="print results.json")
    report.set_defaults(run=_report)

    info = commands.add_parser("info", help="print what a server serves, as JSON")
    info.add_argument(
        "--server", default=eval_options.DEFAULT_SERVER, metavar="HOST:PORT",
        help="default: %(default)s",
    )  # fmt: skip
    info.add_argument(
        "--server-wait", type=float, default=INFO_WAIT_S, metavar="S",
        help="how long to wait for it, seconds; default: %(default)g",
    )  # fmt: skip
    info.set_defaults(run=_info)
    return parser


def _eval(options: argparse.Namespace) -> int:
    settings = eval_options.settings_from(options, os.environ, options.command_line)
    for hint in eval_options.hints(options, os.environ):
        print(f"note: {hint}", file=sys.stderr)
    summary = run_evaluation(settings, sys.stderr)
    print(format_table(summary))
    print(f"results: {settings.results}", file=sys.stderr)
    errors = summary["overall"]["errors"]
    if errors:
        return _fail(
            f"{errors} episodes ended in a simulator error; the same command runs them again",
            FAILED,
        )
    return 0


def _compare(options: argparse.Namespace) -> int:
    comparison = compare_runs(options.a, options.b, threshold=options.threshold)
    if options.plot is not None:
        write_atomically(options.plot, plot_comparison(comparison))
    if options.json:
        _print_json(comparison.to_json())
    else:
        print(format_comparison(comparison))
    return 0


def _plot(options: argparse.Namespace) -> int:
    panels = [(title, [parse_run(run) for run in runs]) for title, *runs in options.panel]
    write_atomically(options.file, plot_folders(panels))
    return 0


def _report(options: argparse.Namespace) -> int:
    summary = write_results(options.folder, plots=options.plots)
    if options.json:
        _print_json(summary)
    else:
        print(format_table(summary))
    return 0


def _info(options: argparse.Namespace) -> int:
    server = eval_options.check_server(options.server)
    with VlaservePolicy(server, None, connect_timeout_s=options.server_wait) as policy:
        _print_json(policy.get_server_metadata())
    return 0


def _print_json(value: Dict[str, Any]) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


__all__: List[str] = ["main"]
