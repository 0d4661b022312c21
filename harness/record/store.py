"""Where runs are kept: REPORT/runs/STAMP/results.json, and REPORT/results.json as the newest whole one."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from harness.errors import BadInput, Unavailable
from harness.record.results import Run, dumps, load

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LAST_RESORTS = (Path(tempfile.gettempdir()), Path("/dev/shm"))


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees all of it or what was there before.

    Raises OSError with the earlier file untouched and no temporary one left.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Some file systems cannot sync a folder; the rename is atomic there all the same.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class RunStore:
    """One run's place in a report folder. Making one makes the folder; earlier runs stay as they are.

    Raises Unavailable if the folder cannot be made.
    """

    def __init__(self, report: Path) -> None:
        self.report = report
        try:
            (report / "runs").mkdir(parents=True, exist_ok=True)
            self.folder = _new_folder(report / "runs")
        except OSError as error:
            raise Unavailable(
                f"cannot make the report folder {report} ({error.strerror}): choose another with --report DIR"
            ) from None

    def discard(self) -> None:
        """Remove the run's folder if nothing was written to it."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def save(self, run: Run) -> Path:
        """Write the run, here and as the newest one. Returns the file in the run's own folder.

        One that is a part of the suite, or has no end, does not take the place of one that is whole.

        Raises Unavailable if a disk is full or the like; the text says where the results are then.
        """
        run = msgspec.structs.replace(run, folder=str(self.folder.relative_to(self.report)))
        content = dumps(run)
        own = self.folder / "results.json"
        _write_or_save_elsewhere(own, content)
        if (run.is_part or not run.complete) and _is_whole(self.report):
            return own
        try:
            write_atomically(self.report / "results.json", content)
        except OSError as error:
            raise Unavailable(
                f"cannot renew {self.report / 'results.json'} ({_why(error)}): "
                f"this run's results are in {own}, the older file is untouched"
            ) from None
        return own


def _is_whole(report: Path) -> bool:
    try:
        before = load(report)
    except BadInput:
        return False
    return before.complete and not before.is_part


def _new_folder(runs: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while True:
        folder = runs / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def _write_or_save_elsewhere(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        saved = _save_elsewhere(content)
        where = (
            f"this run's results are in {saved} instead" if saved else "this run's results could not be kept"
        )
        raise Unavailable(
            f"cannot write {path} ({_why(error)}): {where}; earlier runs are untouched; "
            "make room or choose another folder with --report DIR"
        ) from None


def _save_elsewhere(content: bytes) -> Path | None:
    for folder in _LAST_RESORTS:
        with contextlib.suppress(OSError):
            descriptor, name = tempfile.mkstemp(prefix="results-", suffix=".json", dir=folder)
            os.close(descriptor)
            try:
                write_atomically(Path(name), content)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
            return Path(name)
    return None


def _why(error: OSError) -> str:
    return "the disk is full" if error.errno in _FULL else str(error.strerror)
