"""Logs kept within bounds on disk while a program writes them: of a long one the middle is given back to the disk.

The file keeps its length, so that what is known of it by offsets stays true; the middle reads as NUL bytes.
"""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

from harness.bounded import MIB

HEAD, TAIL = MIB, 8 * MIB
"""Bytes that stay, of the beginning and of the end."""
EVERY = 0.1
"""Seconds between two looks: what a program writes in that time comes on top."""
_KEEP_SIZE, _PUNCH_HOLE = 1, 2

_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]

_lock = threading.Lock()
_watched: dict[Path, int] = {}
"""Logs being written, and where the hole in each ends."""
_threads: list[threading.Thread] = []
_idle = threading.Event()


def watch(log: Path) -> None:
    """Keep a file within bounds from now on. It need not exist yet."""
    with _lock:
        _watched[log] = HEAD
        if len(_watched) == 1:
            _idle.clear()
            thread = threading.Thread(target=_run, name="log cap", daemon=True)
            _threads.append(thread)
            thread.start()


def unwatch(log: Path) -> None:
    """Its writer has ended: look at it for the last time."""
    with _lock:
        end = _watched.pop(log, None)
        if end is not None:
            _trim(log, end)
        ended = [] if _watched else _threads[:]
        if ended:
            _idle.set()
            _threads.clear()
    for thread in ended:
        thread.join()


def _run() -> None:
    while not _idle.wait(EVERY):
        with _lock:
            for log, end in _watched.items():
                _watched[log] = _trim(log, end)


def _trim(log: Path, hole: int) -> int:
    """Give the middle back, as far as it is not given back yet; where the hole ends now."""
    try:
        size = log.lstat().st_size
        if size - TAIL < hole + TAIL:
            return hole
        descriptor = os.open(log, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return hole  # not there yet, or no more
    try:
        end = size - TAIL
        _fallocate(
            descriptor, _PUNCH_HOLE | _KEEP_SIZE, hole, end - hole
        )  # not every file system can: so be it
    finally:
        os.close(descriptor)
    return end
