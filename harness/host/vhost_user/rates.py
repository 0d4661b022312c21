"""How fast frames and messages go through the back end, for benchmarks."""

from __future__ import annotations

import time

from harness.deadline import Deadline
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.log import Event, MessageLog


def injection_rate(
    backend: Backend, ring: int, frame: bytes, count: int, *, within: float | Deadline
) -> float:
    """Frames per second into a receive ring, the guest's supply of buffers included.

    Raises as Backend.inject_all.
    """
    start = time.monotonic()
    backend.inject_all(ring, [frame] * count, within=within)
    return count / (time.monotonic() - start)


def capture_rate(backend: Backend, ring: int, count: int, *, within: float | Deadline) -> float:
    """Frames per second out of a transmit ring, over the next `count` that the guest sends; the first starts the clock.

    Raises DeadlineExceeded.
    """
    before = backend.ring(ring).counters.transmitted
    deadline = within if isinstance(within, Deadline) else Deadline(within)

    def sent() -> int:
        return backend.ring(ring).counters.transmitted - before

    first = backend.wait(f"a first frame on vring {ring}", lambda _: sent(), within=deadline)
    start = time.monotonic()
    backend.wait(f"{count} frames on vring {ring}", lambda _: sent() >= count, within=deadline)
    return (sent() - first) / (time.monotonic() - start)


def turnarounds(log: MessageLog, since: int = 0) -> list[float]:
    """Seconds from the arrival of each answered message until its answer was sent, in the log's order."""
    return [
        each.seconds
        for each in log.entries(since=since)
        if not isinstance(each.kind, Event) and each.reply is not None and each.seconds is not None
    ]
