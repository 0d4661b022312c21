"""A run while it goes on: what it is about, and each record as its test ends. A run that has no end leaves this.

Each process appends to a file of its own. The run's head is locked as long as the run lives.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from harness.errors import BadInput
from harness.file_lock import try_lock
from harness.record import selection
from harness.record.results import Result, Run, dumps, loads
from harness.record.selection import Selection
from harness.record.store import write_atomically

HEAD = "run.json"
RECORDS = "records-*.jsonl"
Key = tuple[str, str]
"""Test and VMM."""


def merged(results: Iterable[Result]) -> dict[Key, Result]:
    """One result for each test and VMM: the worst of a test's phases stands."""
    found: dict[Key, Result] = {}
    for result in results:
        before = found.get(key := (result.test, result.vmm))
        if before is None or (result.verdict.is_bad and not before.verdict.is_bad):
            found[key] = result
    return found


class Records:
    """What one process appends to a run's folder. What does not fit on the disk now is tried again with the next."""

    def __init__(self, folder: Path, process: str) -> None:
        self._file = folder / RECORDS.replace("*", process)
        self._pending = bytearray()

    def append(self, result: Result) -> None:
        """Write it down. It outlives this process at once, however that ends."""
        self._pending += msgspec.json.encode(result) + b"\n"
        with suppress(OSError):  # a full disk: the run's results are kept in memory too
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                if os.write(descriptor, self._pending) < len(self._pending):
                    os.ftruncate(descriptor, size)
                else:
                    self._pending.clear()
            finally:
                os.close(descriptor)


def written(folder: Path) -> list[Result]:
    """The records in a run's folder. A last one that was cut short is none."""
    found = []
    for file in sorted(folder.glob(RECORDS)):
        for line in file.read_bytes().splitlines():
            with suppress(msgspec.DecodeError):
                found.append(msgspec.json.decode(line, type=Result))
    return found


def begin(folder: Path, run: Run) -> int:
    """Write down what a run is about. Returns the lock on it, a descriptor: to be kept open while the run lives.

    Raises OSError.
    """
    write_atomically(folder / HEAD, dumps(run))
    lock = os.open(folder / HEAD, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def end(folder: Path) -> None:
    """Remove what only a run without an end needs."""
    for file in (folder / HEAD, folder / selection.FILE, *folder.glob(RECORDS)):
        file.unlink(missing_ok=True)


def goes_on(folder: Path) -> bool:
    """Whether the run of this folder is alive."""
    try:
        head = os.open(folder / HEAD, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not try_lock(head)
    finally:
        os.close(head)


def without_end(folder: Path) -> Run | None:
    """What a run that has no end found until then; None where there is none in this folder, or it goes on."""
    if goes_on(folder):
        return None
    try:
        head = loads((folder / HEAD).read_bytes(), str(folder / HEAD))
    except (OSError, BadInput):
        return None
    chosen = Selection.read(folder) or Selection()
    return as_far(head, chosen, merged(written(folder)))


def as_far(head: Run, chosen: Selection, results: dict[Key, Result]) -> Run:
    """The run that has these results, of those that it set out for."""
    return replace(
        head,
        results=tuple(results.values()),
        selected=max(len(chosen.tests), len(results)),
        deselected=chosen.deselected,
        shard=chosen.shard,
        narrowed=chosen.narrowed,
        not_run=tuple(case for case in chosen.tests if (case.test, case.vmm) not in results),
    )
