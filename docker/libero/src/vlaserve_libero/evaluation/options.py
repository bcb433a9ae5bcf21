"""The options of `vlaserve-libero eval`: declared, checked, turned into settings."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from vlaserve_libero.address import split_address
from vlaserve_libero.environments import registry
from vlaserve_libero.errors import InvalidRequest
from vlaserve_libero.evaluation.errors import UsageError
from vlaserve_libero.evaluation.plan import parse_tasks
from vlaserve_libero.evaluation.policies import POLICIES, PolicySettings
from vlaserve_libero.evaluation.protocol import FIXTURES, PROTOCOLS, protocol
from vlaserve_libero.evaluation.settings import RunSettings
from vlaserve_libero.evaluation.worker import CONTROL_HZ, VIDEOS
from vlaserve_libero.images import ENCODINGS
from vlaserve_libero.results.files import VIDEOS as VIDEO_FOLDER

DEFAULT_SERVER = "127.0.0.1:50051"
DEFAULT_DEADLINE_S = 120.0
DEFAULT_SERVER_WAIT_S = 300.0
DEFAULT_TRIALS = 50
DEFAULT_SEED = 7
DEFAULT_RESOLUTION = 256
_VIDEO_RATES = tuple(n for n in range(1, CONTROL_HZ + 1) if CONTROL_HZ % n == 0)

EPILOG = """\
Variables of openpi's evaluation scripts are defaults: TASK_SUITE (--suite), NUM_TRIALS (--trials),
SEED (--seed), RESULTS_OUT_PATH (--results), VIDEO_OUT_PATH (--video-folder, and --videos all).
CKPT names the checkpoint, which here is the server's: export it to an archive and serve that.

The same command resumes a run that was interrupted, whose server went away, or that had simulator
errors. Exit status: 0 all episodes ran; 1 the run failed, or episodes ended in simulator errors;
2 a wrong option; 130 interrupted. Episodes that the policy fails do not change it.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the options. None is a default that depends on other options or the environment."""
    _add_what(parser)
    _add_protocol(parser)
    _add_policy(parser)
    _add_environment(parser)
    _add_output(parser)


def _add_what(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which episodes")
    group.add_argument(
        "--environment", choices=registry.ENVIRONMENTS, default="libero",
        help="simulator; default: libero",
    )  # fmt: skip
    group.add_argument(
        "--suite", metavar="NAME[,NAME]",
        help="suites of tasks: libero_spatial, libero_object, libero_goal, libero_10, libero_90; "
        "for replay the folder of the recordings; default: $TASK_SUITE",
    )  # fmt: skip
    group.add_argument("--tasks", metavar="LIST", help="such as 0-9 or 0,3,5-7; default: all")
    group.add_argument(
        "--trials", type=int, metavar="N",
        help=f"episodes per task; default: $NUM_TRIALS, else {DEFAULT_TRIALS}",
    )  # fmt: skip
    group.add_argument(
        "--first-init-state", type=int, default=0, metavar="K",
        help="init state of each task's first episode; the next ones follow; default: 0",
    )  # fmt: skip
    group.add_argument(
        "--seed", type=int, metavar="N",
        help=f"seed of the run: noise of the queries, poses of fixtures; default: $SEED, else "
        f"{DEFAULT_SEED}",
    )  # fmt: skip


def _add_protocol(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("protocol")
    group.add_argument(
        "--protocol", choices=tuple(PROTOCOLS), default="openpi",
        help="openpi: 10 settle steps, replan 5, caps 220/280/300/520/400 for libero_spatial/"
        "object/goal/10/90, fixtures openpi; lerobot: replan 10, cap 280 for libero_spatial, "
        "fixtures episode; other suites: cap 400; default: openpi",
    )  # fmt: skip
    group.add_argument(
        "--replan-steps", type=int, metavar="N", help="actions executed of each chunk"
    )
    group.add_argument("--max-steps", type=int, metavar="N", help="cap of an episode, all suites")
    group.add_argument("--settle-steps", type=int, metavar="N", help="steps before the first query")
    group.add_argument(
        "--fixtures", choices=FIXTURES,
        help="poses of cabinets and stoves, which init states lack. openpi: drawn on from reset to "
        "reset, so that a worker runs a task's episodes in order and a resumed run repeats its "
        "resets; episode: seeded for each episode, whatever the order",
    )  # fmt: skip


def _add_policy(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("policy")
    group.add_argument(
        "--policy", choices=POLICIES, default="server",
        help="server: a running vlaserve; scripted: a controller that knows where objects are; "
        "open_loop: its actions for init state 0, played without looking; default: server",
    )  # fmt: skip
    group.add_argument("--server", metavar="HOST:PORT", help=f"default: {DEFAULT_SERVER}")
    group.add_argument(
        "--deadline", type=float, metavar="S",
        help=f"longest time for an answer, seconds; default: {DEFAULT_DEADLINE_S:g}",
    )  # fmt: skip
    group.add_argument(
        "--server-wait", type=float, metavar="S",
        help="how long to wait for a server that is not there yet, loads, or went away, seconds; "
        f"default: {DEFAULT_SERVER_WAIT_S:g}",
    )  # fmt: skip
    group.add_argument(
        "--num-steps", type=int, metavar="N", help="denoise steps; default: the server's"
    )
    group.add_argument(
        "--image-encoding", choices=ENCODINGS,
        help="how pictures travel; png is smaller and slower; default: rgb8",
    )  # fmt: skip
    group.add_argument(
        "--headless", action="store_true",
        help="accepted from scripts of openpi_duquant, where it loads the policy into the "
        "simulator's process; here the policy is always the server's, and nothing opens a window",
    )  # fmt: skip


def _add_environment(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("simulator")
    group.add_argument(
        "--workers", type=int, default=1, metavar="N",
        help="processes with a simulator each, all asking one server; default: 1",
    )  # fmt: skip
    group.add_argument(
        "--resolution", type=int, metavar="PIXELS",
        help=f"side of the pictures; default: {DEFAULT_RESOLUTION}",
    )  # fmt: skip
    group.add_argument(
        "--shifts",
        metavar="FILE",
        help="move each task's object by the offsets in this JSON file (libero)",
    )
    group.add_argument(
        "--allow-new-mujoco",
        action="store_true",
        help="accept MuJoCo after 3.3.2, which renders darker pictures (libero)",
    )
    group.add_argument(
        "--environment-option", action="append", default=[], metavar="NAME=VALUE",
        help="any other option of the environment; VALUE as JSON or plain text; may be repeated",
    )  # fmt: skip


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("results")
    group.add_argument(
        "--results", metavar="DIR", help="folder of the run; default: $RESULTS_OUT_PATH"
    )
    group.add_argument(
        "--restart",
        action="store_true",
        help="set aside the run in the folder and begin anew, instead of resuming it",
    )
    group.add_argument(
        "--videos",
        choices=VIDEOS,
        help="of which episodes; failures costs as much rendering as all; default: none",
    )
    group.add_argument(
        "--video-folder",
        metavar="DIR",
        help=f"default: $VIDEO_OUT_PATH, else {VIDEO_FOLDER}/ in the results folder",
    )
    group.add_argument(
        "--video-fps", type=int, choices=_VIDEO_RATES,
        help=f"frames per second of simulated time, which has {CONTROL_HZ} steps; fewer cost less "
        "rendering; default: 10",
    )  # fmt: skip
    group.add_argument("--plots", action="store_true", help="draw plots/*.png at the end")


def settings_from(
    options: argparse.Namespace, environ: Mapping[str, str], command: Sequence[str]
) -> RunSettings:
    """Checks the options and fills in what was not given.

    Args:
        options: Parsed, see `add_options`.
        environ: Environment variables. An empty one counts as unset, as compose files make them.
        command: The command line, for the record.

    Raises:
        UsageError: An option or variable has no possible value; the message names it.
        SimulatorError: The environment is not known or not installed.
    """
    suite = options.suite or environ.get("TASK_SUITE")
    if not suite:
        raise UsageError("--suite is missing (or TASK_SUITE): which suite of tasks?")
    names = tuple(name.strip() for name in suite.split(","))
    if not all(names):
        raise UsageError(f"--suite {suite}: expected names separated by commas")
    results = options.results or environ.get("RESULTS_OUT_PATH")
    if not results:
        raise UsageError("--results is missing (or RESULTS_OUT_PATH): a folder for the run")
    if options.workers < 1:
        raise UsageError(f"--workers {options.workers}: expected 1 or more")
    seed = _number(options.seed, "--seed", environ, "SEED", DEFAULT_SEED)
    if not 0 <= seed < 2**32:
        raise UsageError(f"--seed {seed}: expected 0 to {2**32 - 1}")
    videos, video_folder = _videos(options, environ, Path(results))
    return RunSettings(
        environment=options.environment,
        options=_environment_options(options),
        suites=names,
        tasks=None if options.tasks is None else tuple(parse_tasks(options.tasks)),
        trials=_number(options.trials, "--trials", environ, "NUM_TRIALS", DEFAULT_TRIALS),
        first_init_state=options.first_init_state,
        seed=seed,
        protocol=protocol(options.protocol).changed(
            settle_steps=options.settle_steps,
            replan_steps=options.replan_steps,
            max_steps=options.max_steps,
            fixtures=options.fixtures,
        ),
        policy=_policy(options),
        workers=options.workers,
        results=Path(results),
        restart=options.restart,
        videos=videos,
        video_folder=video_folder,
        video_fps=options.video_fps or 10,
        plots=options.plots,
        command=tuple(command),
    )


def hints(options: argparse.Namespace, environ: Mapping[str, str]) -> List[str]:
    """What to say about settings of openpi's scripts that mean something else here."""
    found = []
    if environ.get("CKPT"):
        found.append(
            f"CKPT={environ['CKPT']} is not used here: the checkpoint is the server's business "
            "(vlaserve export --checkpoint DIR --out policy.pt; vlaserve serve --set "
            "policy.archive=policy.pt)"
        )
    if options.headless:
        found.append(
            "--headless: the policy is asked through the server, not loaded here; rendering needs "
            "no display in any case"
        )
    return found


def _number(
    given: Optional[int], option: str, environ: Mapping[str, str], variable: str, default: int
) -> int:
    if given is not None:
        return given
    text = environ.get(variable)
    if not text:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"{variable}={text} (default of {option}): expected a number") from error


def _policy(options: argparse.Namespace) -> PolicySettings:
    if options.policy != "server":
        for option in ("server", "deadline", "server_wait", "num_steps", "image_encoding"):
            if getattr(options, option) is not None:
                name = option.replace("_", "-")
                raise UsageError(f"--{name} has no meaning with --policy {options.policy}")
        return PolicySettings(options.policy)
    server = DEFAULT_SERVER if options.server is None else options.server
    deadline = DEFAULT_DEADLINE_S if options.deadline is None else options.deadline
    wait = DEFAULT_SERVER_WAIT_S if options.server_wait is None else options.server_wait
    for option, value in (("--deadline", deadline), ("--server-wait", wait)):
        if not 0 < value < float("inf"):
            raise UsageError(f"{option} {value:g}: expected seconds, more than 0")
    if options.num_steps is not None and not 1 <= options.num_steps <= 100:
        raise UsageError(f"--num-steps {options.num_steps}: expected 1 to 100")
    return PolicySettings(
        name="server",
        server=check_server(server),
        deadline_s=deadline,
        server_wait_s=wait,
        num_steps=options.num_steps,
        image_encoding=options.image_encoding or "rgb8",
    )


def check_server(server: str) -> str:
    """An address as it was given.

    Raises:
        UsageError: It is not HOST:PORT.
    """
    try:
        split_address(server)
    except InvalidRequest as error:
        raise UsageError(f"--server: {error}") from error
    return server


def _environment_options(options: argparse.Namespace) -> Dict[str, Any]:
    known = registry.options(options.environment)
    found: Dict[str, Any] = {}
    for text in options.environment_option:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--environment-option {text}: expected NAME=VALUE")
        if name not in known:
            raise UsageError(
                f"--environment-option {text}: environment {options.environment} has "
                f"{', '.join(known) or 'no options'}"
            )
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    given: Dict[str, Tuple[str, Any]] = {}
    if options.resolution is not None:
        given["resolution"] = ("--resolution", options.resolution)
    if options.allow_new_mujoco:
        given["allow_new_mujoco"] = ("--allow-new-mujoco", True)
    if options.shifts is not None:
        path = Path(options.shifts)
        if not path.is_file():
            raise UsageError(f"--shifts {path}: there is no such file")
        given["shifts"] = ("--shifts", path)
    for name, (option, value) in given.items():
        if name not in known:
            raise UsageError(f"{option} has no meaning in environment {options.environment}")
        found[name] = value
    if "resolution" in known:
        found.setdefault("resolution", DEFAULT_RESOLUTION)
    return found


def _videos(
    options: argparse.Namespace, environ: Mapping[str, str], results: Path
) -> Tuple[str, Path]:
    folder = options.video_folder or environ.get("VIDEO_OUT_PATH")
    videos = options.videos or ("all" if folder else "none")
    if videos == "none":
        for name in ("video_folder", "video_fps"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} has no meaning without --videos")
    return videos, Path(folder) if folder else results / VIDEO_FOLDER
