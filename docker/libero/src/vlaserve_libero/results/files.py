"""The files of a results folder: reading what a run has left, writing what follows from it.

The folder's layout and every field are described in RESULTS.md.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Tuple

from vlaserve_libero.records import EpisodeKey, EpisodeRecord
from vlaserve_libero.results.episodes_csv import episodes_csv
from vlaserve_libero.results.errors import ResultsError
from vlaserve_libero.results.summary import summarize

RUN = "run.json"
EPISODES = "episodes.jsonl"
RESULTS = "results.json"
CSV = "episodes.csv"
PLOTS = "plots"
VIDEOS = "videos"


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file's content: after a crash it is the old or the new one, never a part.

    Args:
        path: The file; its folder must exist.
        content: All of the new content.

    Raises:
        OSError: The folder is missing or not writable, or the disk is full.
    """
    folder = path.parent
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=folder)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # mkstemp makes files that only their owner can read; results are for others as well.
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Makes new names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_json_bytes(value: Mapping[str, Any]) -> bytes:
    """As an indented JSON text with a final newline.

    Raises:
        ValueError: A number is NaN or infinite, which JSON does not have.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8") + b"\n"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _parse_object(text: bytes, where: str) -> Dict[str, Any]:
    try:
        value = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except ValueError as error:
        raise ResultsError(f"{where}: damaged ({error})") from error
    if not isinstance(value, dict):
        raise ResultsError(f"{where}: expected a JSON object, found {type(value).__name__}")
    return value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ResultsError(
            f"{path}: no such file; is {path.parent} the results folder of a run?"
        ) from error
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read: {error.strerror}") from error


def read_run(folder: Path) -> Dict[str, Any]:
    """Reads run.json: settings, seeds, server info and versions of the run.

    Raises:
        ResultsError: The file is missing or damaged.
    """
    path = folder / RUN
    return _parse_object(_read(path), str(path))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and type(value) is not bool and math.isfinite(value)


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


def _are_rows(value: object) -> bool:
    return isinstance(value, list) and all(
        _are_numbers(row) and len(row) == len(value[0]) for row in value
    )


# By the type that EpisodeRecord gives a field: what a value must satisfy, and that in words.
_CHECKS: Dict[str, Tuple[Callable[[Any], bool], str]] = {
    "int": (lambda v: type(v) is int and v >= 0, "a whole number of at least 0"),
    "float": (lambda v: _is_number(v) and v >= 0, "a number of at least 0"),
    "str": (lambda v: isinstance(v, str), "a text"),
    "Optional[str]": (lambda v: v is None or isinstance(v, str), "a text or null"),
    "List[float]": (_are_numbers, "a list of numbers"),
    "List[List[float]]": (_are_rows, "a list of rows of numbers, all of one length"),
}


def _check_types(record: EpisodeRecord) -> None:
    """Raises ValueError, naming the field, for what would spoil the statistics later."""
    for field in fields(record):
        # A string, as records.py postpones the evaluation of annotations.
        satisfied, expected = _CHECKS[str(field.type)]
        if not satisfied(getattr(record, field.name)):
            raise ValueError(f"{field.name} must be {expected}")


def read_records(folder: Path) -> List[EpisodeRecord]:
    """Reads episodes.jsonl, ordered by suite, task and episode.

    A last line without its newline is an episode whose recording was cut off: it does not count. An
    episode that ended in an error may have been run again: the later line replaces the earlier one.

    Returns:
        One record per episode; none if no episode has ended yet.

    Raises:
        ResultsError: The file is missing, a line is damaged, or an episode is there twice.
    """
    path = folder / EPISODES
    lines = _read(path).split(b"\n")[:-1]
    records: Dict[EpisodeKey, Tuple[int, EpisodeRecord]] = {}
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        try:
            record = EpisodeRecord.from_json(_parse_object(line, where))
            _check_types(record)
        except ValueError as error:
            raise ResultsError(f"{where}: {error}") from error
        before = records.get(record.key)
        if before is not None and before[1].outcome != "error":
            raise ResultsError(
                f"{where}: {record.suite} task {record.task_id} episode {record.episode} "
                f"is already in line {before[0]}"
            )
        records[record.key] = (number, record)
    return [records[key][1] for key in sorted(records)]


def write_results(folder: Path, *, plots: bool = True) -> Dict[str, Any]:
    """Makes results.json, episodes.csv and the plots from run.json and episodes.jsonl.

    May be repeated at any time, also while the run goes on.

    Args:
        folder: The results folder of a run.
        plots: Whether to draw plots/*.png; needs the extra `plots`.

    Returns:
        The content of results.json.

    Raises:
        ResultsError: The run's files are missing or damaged, or matplotlib is not installed.
        OSError: The folder is not writable.
    """
    run = read_run(folder)
    records = read_records(folder)
    summary = summarize(records, run)
    write_atomically(folder / RESULTS, to_json_bytes(summary))
    write_atomically(folder / CSV, episodes_csv(records).encode("utf-8"))
    if plots:
        # Imported here, since drawing is an extra.
        from vlaserve_libero.results.plots import plot_run

        (folder / PLOTS).mkdir(exist_ok=True)
        for name, content in plot_run(summary, records).items():
            write_atomically(folder / PLOTS / name, content)
    return summary
