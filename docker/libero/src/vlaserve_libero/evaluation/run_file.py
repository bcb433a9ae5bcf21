"""`run.json`: what a run is, so that it can be repeated, and resumed only as what it was.

Fields: format_version; started_at (UTC, ISO 8601); command; policy, protocol, seed, query (what
decides the outcome of an episode); episodes (which ones); server (address and description, null
for a policy that runs here); versions; resumed (a list of started_at, command, versions).
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from vlaserve_libero import __version__
from vlaserve_libero.evaluation.errors import EvaluationError
from vlaserve_libero.evaluation.plan import Episode
from vlaserve_libero.evaluation.policies import refuse_other_server
from vlaserve_libero.evaluation.settings import RunSettings
from vlaserve_libero.results.files import RUN, to_json_bytes, write_atomically
from vlaserve_libero.server_info import Camera, ServerInfo

FORMAT_VERSION = 1

# What a resumed run must have in common with its beginning.
_FIXED = ("format_version", "policy", "protocol", "seed", "query")

_PACKAGES = ("numpy", "pillow", "grpcio", "protobuf", "mujoco", "robosuite", "hf-libero", "bddl")


def describe_run(
    settings: RunSettings, episodes: Sequence[Episode], server: Optional[ServerInfo]
) -> Dict[str, Any]:
    """The content of run.json.

    Args:
        settings: Of the run.
        episodes: All that it consists of.
        server: What the server serves; None: there is no server.
    """
    tasks: Dict[str, List[int]] = {}
    for episode in episodes:
        own = tasks.setdefault(episode.suite, [])
        if episode.task_id not in own:
            own.append(episode.task_id)
    policy = settings.policy
    return {
        "format_version": FORMAT_VERSION,
        "started_at": _now(),
        "command": list(settings.command),
        "policy": policy.name,
        "protocol": {
            **asdict(settings.protocol),
            "environment": settings.environment,
            "options": {k: _identity(v) for k, v in sorted(settings.options.items())},
        },
        "seed": settings.seed,
        "query": {"num_steps": policy.num_steps, "image_encoding": policy.image_encoding}
        if policy.name == "server"
        else None,
        "episodes": {
            "tasks": tasks,
            "trials": settings.trials,
            "first_init_state": settings.first_init_state,
        },
        "server": None if server is None else {"address": policy.server, **server.to_json()},
        "versions": versions(),
        "resumed": [],
    }


def write_run(folder: Path, run: Mapping[str, Any]) -> None:
    """Writes run.json, whole or not at all."""
    write_atomically(folder / RUN, to_json_bytes(run))


def resume_run(
    earlier: Mapping[str, Any], now: Mapping[str, Any], server: Optional[ServerInfo]
) -> Dict[str, Any]:
    """The content of run.json for a run that goes on.

    Tasks, suites and trials may be added; nothing else may change.

    Args:
        earlier: What the run's file says.
        now: What it would say if the run began now.
        server: What the server serves now; None: it is not asked again.

    Raises:
        EvaluationError: The run was another one; lists what differs.
    """
    found: List[str] = []
    for name in _FIXED:
        if name not in earlier:
            raise EvaluationError(f"run.json has no field {name!r}; begin anew with --restart")
        _differences(earlier[name], now[name], name, found)
    _shrunk(earlier["episodes"], now["episodes"], found)
    if found:
        raise EvaluationError(
            "the results folder has a run with other settings: " + "; ".join(found) + ". Use the "
            "same settings to resume it, another --results, or --restart to set it aside"
        )
    if server is not None:
        _same_server(earlier["server"], server)
    again = {"started_at": now["started_at"], "command": now["command"]}
    if now["versions"] != earlier["versions"]:
        again["versions"] = now["versions"]
    return {
        **earlier,
        "episodes": now["episodes"],
        "resumed": [*earlier["resumed"], again],
    }


def versions() -> Dict[str, Optional[str]]:
    """Of the packages that an outcome may depend on; None: not installed."""
    found: Dict[str, Optional[str]] = {
        "vlaserve-libero": __version__,
        "python": platform.python_version(),
    }
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _identity(value: Any) -> Any:
    """An option's value; a file by its content, wherever it lies."""
    if not isinstance(value, Path):
        return value
    return {"file": value.name, "sha256": hashlib.sha256(value.read_bytes()).hexdigest()}


def _differences(earlier: Any, now: Any, name: str, found: List[str]) -> None:
    if isinstance(earlier, dict) and isinstance(now, dict):
        for key in sorted(set(earlier) | set(now)):
            _differences(earlier.get(key), now.get(key), f"{name}.{key}", found)
    elif earlier != now:
        found.append(f"{name} was {earlier!r}, is {now!r}")


def _shrunk(earlier: Mapping[str, Any], now: Mapping[str, Any], found: List[str]) -> None:
    """Init states must stay with their episodes; episodes must not become fewer."""
    _differences(earlier["first_init_state"], now["first_init_state"], "first_init_state", found)
    if now["trials"] < earlier["trials"]:
        found.append(f"trials was {earlier['trials']}, is {now['trials']}")
    for suite, tasks in earlier["tasks"].items():
        if not set(tasks) <= set(now["tasks"].get(suite, ())):
            found.append(f"tasks of {suite} was {tasks}, is {now['tasks'].get(suite, [])}")


def _same_server(earlier: Mapping[str, Any], now: ServerInfo) -> None:
    fields = {key: value for key, value in earlier.items() if key != "address"}
    try:
        fields["cameras"] = tuple(Camera(**camera) for camera in fields["cameras"])
        fields["delta_action_mask"] = tuple(fields["delta_action_mask"])
        before = ServerInfo(**fields)
    except (KeyError, TypeError) as error:
        raise EvaluationError(
            f"run.json describes its server in another form ({error}); begin anew with --restart"
        ) from error
    refuse_other_server(before, now, "when the run began, see run.json")
