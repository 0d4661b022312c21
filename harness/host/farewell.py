"""What the kernel is slow at when something goes, done beside the tests: closing packet sockets, removing taps.

Each such step waits for a grace period of the kernel's RCU, some 12 ms, and computes nothing. One thread takes them in
order. Taps go many at a time, for which the kernel waits once; what is left when the process ends goes with its network
namespace.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from harness.host.links import Links

GROUP = 77
"""Of interfaces that nobody uses any more."""
TOGETHER = 16
"""Taps that are removed at once."""

_steps = queue.SimpleQueue[Callable[[], object]]()
_lock = threading.Lock()
_thread: threading.Thread | None = None
_dismissed = 0
_way: Links | None = None
"""Into the network of those that were dismissed last."""


def later(step: Callable[[], object]) -> None:
    """Have something done soon. It may raise OSError: then it is done already."""
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="farewell", daemon=True)
            _thread.start()
    _steps.put(step)


def dismiss(links: Links, index: int) -> None:
    """Give up a tap that no VMM holds any more. `links` is for this alone from now on, and is closed with the next."""
    later(lambda: _dismiss(links, index))


def settle() -> None:
    """Wait until all is done that was asked for by now, and all taps are removed."""
    done = threading.Event()
    later(_remove)
    later(done.set)
    done.wait()


def _run() -> None:
    while True:
        with suppress(OSError):
            _steps.get()()


def _dismiss(links: Links, index: int) -> None:
    global _dismissed, _way
    if _way is not None:
        _way.close()
    _way = links
    links.set_group(index, GROUP)
    _dismissed += 1
    if _dismissed >= TOGETHER:
        _remove()


def _remove() -> None:
    global _dismissed, _way
    if _way is not None:
        way, _way, _dismissed = _way, None, 0
        try:
            way.delete_group(GROUP)
        finally:
            way.close()
