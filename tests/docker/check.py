#!/usr/bin/env python3
"""Checks docker/ without building an image: what the files name exists, and they agree.

    python3 tests/docker/check.py

Uses `docker compose`, hadolint and shellcheck where they are installed and says so where they are not.
Needs Debian's python3-yaml.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Set, Tuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
COMPOSE = DOCKER / "compose.yaml"
DOCKERFILES = sorted(DOCKER.glob("Dockerfile*"))
SCRIPTS = sorted(DOCKER.glob("*.sh")) + sorted(Path(__file__).parent.glob("*.sh"))

Problems = Iterator[str]


# Variables that are empty by default: passed through, or replaced by a volume or a name.
EMPTY = ("CKPT", "POLICY", "SCOPE", "SERVER_DATA", "RUN", "LIBERO_ASSETS")


def compose_variables() -> Dict[str, str]:
    """Variables of compose.yaml with their defaults."""
    found: Dict[str, str] = {}
    text = COMPOSE.read_text()
    # NAME: without a value under "environment" passes a variable through.
    passed = [(name, "") for name in re.findall(r"^ +([A-Z_]+):$", text, re.MULTILINE)]
    for name, default in passed + re.findall(r"\$\{(\w+):-([^}]*)\}", text):
        default = "" if name in EMPTY else default
        if found.setdefault(name, default) != default:
            raise SystemExit(f"{COMPOSE}: {name} has the defaults {found[name]!r} and {default!r}")
    return found


def services() -> Dict[str, Any]:
    """The services, with every variable at its default."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", COMPOSE.read_text())
    document = yaml.safe_load(text)
    return dict(document["services"])


def variables_are_documented() -> Problems:
    """docker/.env lists exactly the variables of compose.yaml, with their defaults."""
    used = compose_variables()
    # podman-compose 1.0 knows no other spelling, nor an empty default.
    if re.search(r"\$(?!\{\w+:-[^}])", COMPOSE.read_text()):
        yield f"{COMPOSE}: a variable is not written as ${{NAME:-default}} with a default"
    env = (DOCKER / ".env").read_text()
    listed = dict(re.findall(r"^#(\w+)=(.*)$", env, re.MULTILINE))
    # podman-compose lets .env win over the shell, so that it must not set anything by itself.
    for line in env.splitlines():
        if line and not line.startswith("#"):
            yield f"docker/.env sets something: {line}"
    for name in sorted(used.keys() - listed.keys()):
        yield f"docker/.env does not describe {name}, which compose.yaml uses"
    for name in sorted(listed.keys() - used.keys()):
        yield f"docker/.env describes {name}, which compose.yaml does not use"
    for name in sorted(used.keys() & listed.keys()):
        if used[name] != listed[name]:
            yield f"{name} is {used[name]!r} in compose.yaml and {listed[name]!r} in docker/.env"


def services_are_confined() -> Problems:
    """Read-only, without capabilities, not root, reachable on loopback only."""
    for name, service in services().items():
        if service.get("read_only") is not True:
            yield f"service {name}: read_only is not true"
        if service.get("cap_drop") != ["ALL"] or "cap_add" in service or "privileged" in service:
            yield f"service {name}: it has capabilities"
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"service {name}: security_opt lacks no-new-privileges:true"
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                yield f"service {name}: port {port} is not on 127.0.0.1"
    for file in DOCKERFILES:
        users = re.findall(r"^USER (\S+)", file.read_text(), re.MULTILINE)
        if not users or users[-1].split(":")[0] in ("root", "0"):
            yield f"{file.name}: ends as root"


def mounts_exist() -> Problems:
    """Folders that are mounted by default exist in a clone; volumes are declared."""
    declared = set(yaml.safe_load(COMPOSE.read_text())["volumes"])
    used: Set[str] = set()
    for name, service in services().items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if not source.startswith((".", "/")):
                used.add(source)
            elif not (DOCKER / source).exists():
                yield f"service {name}: there is no {source} in docker/"
    for volume in sorted(declared ^ used):
        yield f"volume {volume} is {'not used' if volume in declared else 'not declared'}"


def builds_exist() -> Problems:
    """Build contexts, Dockerfiles and build arguments of the services are there."""
    for name, service in services().items():
        build = service.get("build")
        if build is None:
            yield f"service {name} has no build"
            continue
        file = (DOCKER / build["context"]).resolve() / build["dockerfile"]
        if file not in DOCKERFILES:
            yield f"service {name}: there is no {build['dockerfile']}"
            continue
        for argument in build.get("args", {}):
            if not re.search(rf"^ARG {argument}\b", file.read_text(), re.MULTILINE):
                yield f"service {name}: {build['dockerfile']} has no argument {argument}"


def server_drains_in_time() -> Problems:
    """Compose waits longer than the server may drain."""
    schema = json.loads((ROOT / "configs/schema.json").read_text())
    drain = schema["properties"]["server"]["properties"]["drain_seconds"]["default"]
    for name, service in services().items():
        grace = re.fullmatch(r"(\d+)s", str(service.get("stop_grace_period", "10s")))
        if grace is None or int(grace[1]) <= drain:
            yield f"service {name}: stop_grace_period is not above the {drain} s of draining"


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path, relative to the root, out of the build context."""
    excluded = False
    for line in (ROOT / ".dockerignore").read_text().split("\n"):
        pattern = line.lstrip("!")
        if not pattern or pattern.startswith("#"):
            continue
        expression = re.escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if re.fullmatch(expression + "(/.*)?", path):
            excluded = not line.startswith("!")
    return excluded


def copied_files_exist() -> Problems:
    """Whatever a Dockerfile copies from the repository is there and is not ignored."""
    for file in DOCKERFILES:
        text = file.read_text().replace("\\\n", " ")
        for arguments in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE):
            for source in shlex.split(arguments)[:-1]:
                path = source.rstrip("/")
                if not list(ROOT.glob(path)):
                    yield f"{file.name}: COPY {source}: there is no such file"
                elif ignored(path):
                    yield f"{file.name}: COPY {source}: .dockerignore leaves it out"


def script_lines() -> List[Tuple[str, Dict[str, str], str]]:
    """The lines of docker/README.md that stand for scripts: name, variables, the whole line."""
    found = []
    text = (DOCKER / "README.md").read_text()
    for line in re.findall(r"^ {4}(.* docker compose run --rm libero.*  # .*run_\w+.*)$", text, re.M):
        command, names = line.split("  # ", 1)
        variables = dict(w.split("=", 1) for w in shlex.split(command) if re.match(r"[A-Z_]+=", w))
        found += [(name, variables, line) for name in re.findall(r"run_\w+(?:\*\w*)?\.sh", names)]
    return found


def every_script_has_a_line() -> Problems:
    """Each run_*.sh that configs/README.md lists has a line in docker/README.md."""
    table = (ROOT / "configs/README.md").read_text()
    start = table.index("## From openpi_duquant's scripts to presets")
    rows = [r for r in table[start:].split("\n## ")[0].splitlines() if r.startswith("|")]
    wanted: Set[str] = set()
    for row in rows:
        # The first column; `…_x.sh` goes on with the name before it; tools/ are no evaluations.
        names = re.findall(r"`((?:run_|…)\S+?\.sh)`", row.split("|")[1])
        wanted.update(n.replace("…", names[0][: -len(".sh")]) for n in names)
    lines = script_lines()
    have = {name for name, _, _ in lines}
    for name in sorted(wanted - have):
        yield f"docker/README.md has no line for {name}"
    for name in sorted(have - wanted):
        yield f"docker/README.md has a line for {name}, which configs/README.md does not list"
    presets = {file.stem for file in (ROOT / "configs/presets").glob("*.json")}
    known = compose_variables()
    for name, variables, _ in lines:
        if variables.get("SCOPE", "fp") not in presets:
            yield f"docker/README.md, {name}: there is no preset {variables['SCOPE']}"
        for variable in variables.keys() - known.keys():
            yield f"docker/README.md, {name}: compose.yaml has no {variable}"


def server_accepts_script_lines() -> Problems:
    """The server's options in those lines are valid, by `vlaserve config check`."""
    vlaserve = ROOT / "build/release/vlaserve"
    if not vlaserve.exists():
        print(f"skipped: no {vlaserve}, so that options in docker/README.md were not tried")
        return
    for name, variables, _ in script_lines():
        options = shlex.split(variables.get("SERVER_OPTIONS", ""))
        preset = variables.get("SCOPE", "fp")
        command = [str(vlaserve), "config", "check", "--set", f"quant.preset={preset}", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            yield f"docker/README.md, {name}: {done.stderr.strip()}"


def tools_are_content() -> Problems:
    """Other programs that read these files, where they are installed."""
    compose = ["docker", "compose", "-f", str(COMPOSE), "config", "--quiet"]
    runs = [("hadolint", ["hadolint", *map(str, DOCKERFILES)])]
    runs.append(("shellcheck", ["shellcheck", *map(str, SCRIPTS)]))
    version = ["docker", "compose", "version"]
    if shutil.which("docker") and subprocess.run(version, capture_output=True).returncode == 0:
        runs.append(("docker", compose))
    else:
        print("skipped: no docker compose")
    for program, command in runs:
        if shutil.which(program) is None:
            print(f"skipped: no {program}")
            continue
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            yield f"{program}: {done.stdout}{done.stderr}".rstrip()


CHECKS: List[Callable[[], Problems]] = [
    variables_are_documented,
    services_are_confined,
    mounts_exist,
    builds_exist,
    server_drains_in_time,
    copied_files_exist,
    every_script_has_a_line,
    server_accepts_script_lines,
    tools_are_content,
]


def main() -> int:
    """Runs all checks; the exit status is 1 if one found something."""
    failed = False
    for check in CHECKS:
        problems = list(check())
        failed = failed or bool(problems)
        print(f"{'FAILED' if problems else 'ok'}  {check.__name__.replace('_', ' ')}")
        for problem in problems:
            print(f"  {problem}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
