"""How many tests the lab runs at a time: one per CPU, however many processes bring some."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.deadline import wait_until
from harness.errors import Owner
from harness.file_lock import try_lock

PATIENCE = 3600.0
"""Seconds to wait for one: others may bring many tests, each with its own deadline."""


@contextmanager
def slot(folder: Path, count: int, name: str = "slot") -> Iterator[None]:
    """Hold one of `count` slots. The kernel frees it if this process dies. Raises DeadlineExceeded."""
    taken = wait_until(
        f"one of the lab's {count} places",
        lambda: _take(folder, count, name),
        owed_by=Owner.HOST,
        within=PATIENCE,
        last=lambda: "all are in use",
    )
    assert taken is not None
    try:
        yield
    finally:
        taken.close()


@contextmanager
def all_slots(folder: Path, count: int) -> Iterator[None]:
    """Hold every slot: nothing else runs in the lab. Of several who ask one comes after the other. Raises as `slot`."""
    with slot(folder, 1, "alone"), ExitStack() as held:
        for _ in range(count):
            held.enter_context(slot(folder, count))
        yield


class _Slot:
    def __init__(self, lock: int) -> None:
        self._lock = lock

    def close(self) -> None:
        os.close(self._lock)


def _take(folder: Path, count: int, name: str) -> _Slot | None:
    for number in range(count):
        lock = os.open(folder / f"{name}-{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if try_lock(lock):
            return _Slot(lock)
        os.close(lock)
    return None
