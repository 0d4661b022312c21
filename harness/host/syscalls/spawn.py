"""Starting a process under the filter, without a helper program between."""

from __future__ import annotations

import os
import select
import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from typing import Any

from harness.deadline import PACE
from harness.errors import DeadlineExceeded, Owner
from harness.host.syscalls import filter as seccomp_filter
from harness.host.syscalls import notifications

PATIENCE = 30.0
"""Seconds within which the system must have executed a program."""


class FilteredProcess:
    """A process that runs under the filter: `popen`, and the `listener` on which its calls arrive.

    A filter belongs to a thread and is inherited by what it starts. So a thread of our own takes it, starts the
    program, and is otherwise idle; the rest of this process is never filtered, and the program has its ordinary
    process id and parent. The thread stays until `release`, because PR_SET_PDEATHSIG, where the program asks
    for it, means this thread.

    `options` are those of subprocess.Popen, `frames` is the filter's. Raises what Popen raises, and Unavailable where
    the host does not allow the filter.
    """

    popen: subprocess.Popen[Any]
    listener: int

    def __init__(self, argv: Sequence[str], options: dict[str, Any], *, frames: bool = False) -> None:
        self._released = threading.Event()
        started: Future[tuple[subprocess.Popen[Any], int]] = Future()
        self._thread = threading.Thread(
            target=self._start, args=(argv, options, frames, started), name="syscall-filter", daemon=True
        )
        self._thread.start()
        try:
            self.popen, self.listener = started.result(PATIENCE * PACE)
        except BaseException as error:
            started.add_done_callback(_abandon)
            self._released.set()
            if isinstance(error, TimeoutError) and not started.done():
                raise DeadlineExceeded(
                    f"waited {PATIENCE * PACE:.0f} s for the system to execute {argv[0]}; it still has not",
                    Owner.HOST,
                ) from error
            raise

    def _start(
        self,
        argv: Sequence[str],
        options: dict[str, Any],
        frames: bool,
        started: Future[tuple[subprocess.Popen[Any], int]],
    ) -> None:
        listener = None
        try:
            listener = seccomp_filter.install(frames)
            with _letting_all_run(listener) if frames else nullcontext():
                popen = subprocess.Popen(argv, **options)
        except BaseException as error:
            if listener is not None:
                os.close(listener)
            started.set_exception(error)
        else:
            started.set_result((popen, listener))
            self._released.wait()

    def release(self) -> None:
        """End the thread. The program should have ended before: one that asked for PR_SET_PDEATHSIG ends now."""
        self._released.set()
        self._thread.join()


@contextmanager
def _letting_all_run(listener: int) -> Iterator[None]:
    """Let every call run for a while: this thread is under the filter, and reads until the program is executed."""
    done = threading.Event()

    def serve() -> None:
        poller = select.poll()
        poller.register(listener, select.POLLIN)
        while not done.is_set():
            if poller.poll(1) and (notification := notifications.receive(listener)) is not None:
                notifications.let_run(listener, notification)

    # it is made by this thread, so under the filter as well: it may poll, and neither read nor write
    server = threading.Thread(target=serve, name="syscall-filter-start", daemon=True)
    server.start()
    try:
        yield
    finally:
        done.set()
        server.join()


def _abandon(started: Future[tuple[subprocess.Popen[Any], int]]) -> None:
    """Nobody waits any more for what was started: end it."""
    if started.exception() is None:
        popen, listener = started.result()
        popen.kill()
        popen.wait()
        os.close(listener)
