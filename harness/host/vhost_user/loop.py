"""One thread that waits for descriptors and timers, under one lock, with a way to wait for what it does."""

from __future__ import annotations

import heapq
import itertools
import os
import select
import threading
import time
import traceback
from collections.abc import Callable
from typing import TypeVar

from harness.deadline import Deadline
from harness.errors import DeadlineExceeded, HarnessError, Owner

T = TypeVar("T")

READABLE = select.EPOLLIN
EDGE = select.EPOLLET
HANG_UP = select.EPOLLHUP | select.EPOLLERR

_LOOK_AGAIN = 0.05
"""Seconds. A predicate may depend on more than this loop, so it is asked now and then."""

_STOP_WITHIN = 5.0


class LoopFailed(HarnessError):
    """The thread ended by a fault of its own; the text carries it."""


class Loop:
    """Calls handlers when descriptors become ready or timers run out.

    Handlers run in the loop's thread with `changed` held; everybody else takes `changed` to look at what they do.
    """

    def __init__(self, name: str, on_end: Callable[[], None]) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._on_end = on_end
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._stopping = False
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.watch(self._wake, lambda _: None, READABLE | EDGE)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def watch(self, fd: int, handler: Callable[[int], None], events: int = READABLE) -> None:
        """Call `handler(events)` when `fd` is ready. Raises OSError for a descriptor that cannot be polled."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Wait for other events on a watched descriptor; hang-ups are always reported."""
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor. Call it before closing it."""
        if self._handlers.pop(fd, None):
            self._epoll.unregister(fd)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` in the loop's thread after that time."""
        with self.changed:
            heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), action))
        if threading.current_thread() is not self._thread:
            os.eventfd_write(self._wake, 1)

    def wait(
        self, reason: str, probe: Callable[[], T], within: float | Deadline, last: Callable[[], object]
    ) -> T:
        """Wait until `probe`, asked with the lock held after every change, answers something true.

        What comes over its descriptors is the VMM's to send: raises DeadlineExceeded as its, with the reason and
        `last()`, LoopFailed if the thread has ended.
        """
        deadline = within if isinstance(within, Deadline) else Deadline(within)
        with self.changed:
            while True:
                self.check()
                over = deadline.expired()
                if seen := probe():
                    return seen
                if over:
                    raise DeadlineExceeded(
                        f"waited {deadline.seconds:.1f} s for {reason}; last seen: {last()}", Owner.VMM
                    )
                self.changed.wait(min(deadline.remaining(), _LOOK_AGAIN))

    def check(self) -> None:
        """Raise LoopFailed if the thread has failed, or was stopped."""
        if self._failure:
            raise LoopFailed(f"the thread {self._thread.name} failed: {self._failure}")
        if self._stopping:
            raise LoopFailed(f"the thread {self._thread.name} was stopped")

    @property
    def failure(self) -> str | None:
        """What ended the thread, if it was not `stop`."""
        return self._failure

    def stop(self) -> None:
        """End the thread; it runs `on_end` last. May be called twice."""
        if self._stopping:
            return
        self._stopping = True
        if self._thread.is_alive():
            os.eventfd_write(self._wake, 1)
            self._thread.join(_STOP_WITHIN)
        if self._thread.is_alive():
            raise LoopFailed(f"the thread {self._thread.name} did not stop within {_STOP_WITHIN:.0f} s")
        self._epoll.close()
        os.close(self._wake)

    def _run(self) -> None:
        try:
            while not self._stopping:
                ready = self._epoll.poll(self._next_timer())
                for fd, events in ready:
                    with self.changed:
                        if handler := self._handlers.get(fd):
                            handler(events)
                            self.changed.notify_all()
                self._run_timers()
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._failure = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
        finally:
            with self.changed:
                self._on_end()
                self.changed.notify_all()

    def _next_timer(self) -> float | None:
        with self.changed:
            return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _run_timers(self) -> None:
        while self._timers:
            with self.changed:
                due, _, action = self._timers[0]
                if due > time.monotonic():
                    return
                heapq.heappop(self._timers)
                action()
                self.changed.notify_all()
