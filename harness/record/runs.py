"""The runs of a report folder: which is the newest, what became of those without an end, how many are kept."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from harness.errors import BadInput
from harness.record import ongoing
from harness.record.results import Run, dumps, load
from harness.record.store import write_atomically

RESULTS = "results.json"
JUST_MADE = 60.0
"""Seconds: a younger folder without anything in it may be that of a run that is about to begin."""


def folders(report: Path) -> list[Path]:
    """The folders of its runs, the newest first. They are named by when they began, 20261128T021700Z-2 the second."""

    def began(folder: Path) -> tuple[str, int]:
        stamp, _, number = folder.name.partition("-")
        return stamp, int(number) if number.isdigit() else 1

    return sorted((folder for folder in (report / "runs").glob("*Z*")), key=began, reverse=True)


def newest(results: Path) -> Run:
    """The run of a results file; of a report folder the newest that was about the whole suite, whether it ended or not.

    Where there is none, that which `results.json` holds. One that goes on is none yet. Raises BadInput.
    """
    on_top: Run | None = None
    with suppress(BadInput):
        on_top = load(results)
    known = results / on_top.folder if on_top else None
    for folder in folders(results):
        if folder == known:
            break
        run = run_of(folder)
        if run is not None and on_top is not None and run.started < on_top.started:
            break
        if run is not None and not run.is_part:
            return run
    return on_top or load(results)


def run_of(folder: Path) -> Run | None:
    """The run of a folder, as far as it came; None for one that goes on, or never began."""
    with suppress(BadInput):
        if (folder / RESULTS).exists():
            return load(folder)
        return ongoing.without_end(folder)
    return None


def how_far(run: Run) -> str:
    """How much of a run was judged, for people."""
    return f"{len(run.results)} of {run.selected} judged"


def recover(report: Path) -> Iterator[str]:
    """Give those that were broken off their results file, as far as they came; a sentence on each, the newest first.

    Those that judged nothing are removed.
    """
    for folder in folders(report):
        run = ongoing.without_end(folder)
        if run is not None and run.results:
            with suppress(OSError):
                write_atomically(folder / RESULTS, dumps(run))
                ongoing.end(folder)
            yield f"the run of {run.started} was broken off, {how_far(run)}: {folder / RESULTS}"
        elif run is not None or _is_empty(folder):
            ongoing.end(folder)
            shutil.rmtree(folder, ignore_errors=True)


def _is_empty(folder: Path) -> bool:
    with suppress(OSError):
        return not any(folder.iterdir()) and time.time() - folder.stat().st_mtime > JUST_MADE
    return False


def keep(report: Path, number: int, size: int) -> None:
    """Remove the oldest runs, so that no more than this number is left, and they take no more than `size` bytes.

    The newest stays, that which is on top of the folder, and those that go on.
    """
    on_top: Path | None = None
    with suppress(BadInput):
        on_top = report / load(report).folder
    taken = 0
    for place, folder in enumerate(folders(report)):
        taken += sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
        if place and (place >= number or taken > size) and folder != on_top and not ongoing.goes_on(folder):
            shutil.rmtree(folder, ignore_errors=True)
