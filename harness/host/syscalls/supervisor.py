"""Supervises a process's TUNSETQUEUE calls: traces every one, and alters those that a policy chooses.

Threads can be made slow to start as well: a thread with a loop of its own makes its epoll instance first. Frames can
be struck on their way where that was asked for.
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.deadline import PACE, wait_until
from harness.errors import DeadlineExceeded, HarnessError, Owner
from harness.host.syscalls import kernel, notifications
from harness.host.syscalls.call import Action, Call, Caller, Outcome
from harness.host.syscalls.caller import look_at
from harness.host.syscalls.execution import Execution
from harness.host.syscalls.frames import FrameFault, FramesToo, directions
from harness.host.syscalls.notifications import Notification
from harness.host.syscalls.policy import Policy, Trace, Verdict
from harness.host.syscalls.spawn import FilteredProcess
from harness.host.syscalls.violations import Watched
from harness.process.child import VmmProcess

CLOSE_PATIENCE = 10.0
"""Seconds within which the supervisor's thread must end: it only waits for a policy to decide."""


class Supervisor:
    """A supervised process and the record of its calls. Use it as a context manager, or `close` it.

    `argv` and `options` are those of subprocess.Popen; `popen` is the process under its own process id. A filter
    that the process installs for itself counts as well: what it forbids with TRAP, KILL or ERRNO never arrives
    here, what it allows does (seccomp(2): the strictest verdict wins).

    The process needs its supervisor to the end: after `close`, or if the supervisor fails, its calls return
    ENOSYS. A failure of the supervisor's own shows in `error`, and is raised by `check` and `close`.

    Raises what Popen raises, and Unavailable where the host does not allow it (`available` tells beforehand).
    """

    def __init__(self, argv: Sequence[str], policy: Policy | None = None, **options: Any) -> None:
        self._policies: tuple[tuple[Policy, int], ...] = ((policy or Trace(), 0),)
        """Those in charge, the latest first, each with the number of calls that were made before its time."""
        self._calls: list[Call] = []
        self._marks: list[str] = []
        self._slow: tuple[str, float] = ("", 0.0)
        self._grown: set[tuple[int, str]] = set()
        self._executions: set[Execution] = set()
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._closing = self._closed = False
        self.error: BaseException | None = None
        """What ended the supervisor before its time, if anything did."""
        self._faults: tuple[FrameFault, ...] = ()
        self._directions = directions(kernel.abi()) if isinstance(policy, FramesToo) else {}
        self._process = FilteredProcess(argv, options, frames=bool(self._directions))
        self.popen = self._process.popen
        self._listener = self._process.listener
        self._pidfd = os.pidfd_open(self.popen.pid)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name=f"supervisor-{self.popen.pid}", daemon=True)
        self._thread.start()

    @property
    def calls(self) -> list[Call]:
        """The calls so far, oldest first, those that still wait for their answer included."""
        return list(self._calls)

    @property
    def running(self) -> bool:
        """Whether calls are still being answered: until the process ends, `close`, or a failure."""
        return self._thread.is_alive()

    def await_quiet(self, seconds: float, *, within: float = 10.0) -> None:
        """Wait until no call waits for its answer and none has come for so many seconds."""

        def quiet() -> bool:
            calls = self.calls
            if any(call.outcome is Outcome.PENDING for call in calls):
                return False
            return not calls or time.monotonic() - calls[-1].time - calls[-1].seconds > seconds

        wait_until(
            f"{seconds:g} s without a TUNSETQUEUE",
            quiet,
            owed_by=Owner.VMM,
            within=within,
            last=lambda: str(self.calls[-1]),
        )

    def mark(self, name: str) -> None:
        """Note that something happened: calls from now on carry the mark (see `conditions.since`)."""
        self._marks.append(name)

    @contextmanager
    def inject(self, policy: Policy) -> Iterator[None]:
        """Ask this policy first for a while. `nth` counts from here on; no opinion leaves the call to those before.

        Raises what the supervisor failed of meanwhile.
        """
        before = self._policies
        self._policies = ((policy, len(self._calls)), *before)
        try:
            yield
        finally:
            self._policies = before
        self.check()

    @contextmanager
    def struck(self, fault: FrameFault) -> Iterator[None]:
        """Let this fault strike for a while; for a process that is supervised under `FramesToo`.

        Raises what the supervisor failed of meanwhile.
        """
        before, self._faults = self._faults, (fault, *self._faults)
        try:
            yield
        finally:
            self._faults = before
        self.check()

    @contextmanager
    def slow_start(self, seconds: float, threads: str) -> Iterator[None]:
        """For a while, threads of such a name (a shell pattern) get their epoll instance after so many seconds.

        The start of others is not held up. Raises what the supervisor failed of meanwhile.
        """
        before, self._slow = self._slow, (threads, seconds)
        try:
            yield
        finally:
            self._slow = before
        self.check()

    def check(self) -> None:
        """Raise HarnessError if the supervisor itself has failed."""
        if self.error is not None:
            raise HarnessError(
                f"the supervisor of process {self.popen.pid} failed, and its later TUNSETQUEUE calls with ENOSYS: "
                f"{type(self.error).__name__}: {self.error}"
            ) from self.error

    def close(self) -> None:
        """Stop supervising; safe to call twice. End the process first: it is neither killed nor reaped here.

        Raises HarnessError if the supervisor itself has failed.
        """
        if self._closed:
            return
        self._closing = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(CLOSE_PATIENCE * PACE)
        if self._thread.is_alive():
            policies = [policy for policy, _ in self._policies]
            raise DeadlineExceeded(
                f"waited {CLOSE_PATIENCE * PACE:.0f} s for the supervisor to end; a policy blocks: {policies}",
                Owner.HOST,
            )
        self._closed = True
        self._process.release()
        os.close(self._wake)
        os.close(self._pidfd)
        self.check()

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except HarnessError as own:
            if error is None:
                raise
            error.add_note(str(own))

    # The supervisor's thread

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as error:
            self.error = error
        finally:
            for execution in self._executions:
                execution.abandon()
            os.close(self._listener)

    def _serve(self) -> None:
        poller = select.poll()
        for fd in (self._listener, self._pidfd, self._wake):
            poller.register(fd, select.POLLIN)
        while not self._closing:
            ready = dict(poller.poll(self._milliseconds_left()))
            if self._pidfd in ready:
                return  # the process has ended
            if self._listener in ready:
                self._take()
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()

    def _milliseconds_left(self) -> int | None:
        if not self._timers:
            return None
        return max(0, math.ceil((self._timers[0][0] - time.monotonic()) * 1000))

    def _take(self) -> None:
        received = time.monotonic()
        notification = notifications.receive(self._listener)
        if notification is None:
            return
        if notification.number == kernel.abi().epoll_create1:
            self._hold_up(notification, received)
            return
        if notification.number in self._directions:
            self._pass_frame(notification)
            return
        caller = look_at(notification)
        if caller is None or not notifications.still_waits(self._listener, notification):
            return
        call = self._enter(caller, received)
        try:
            self._schedule(Execution(self._listener, notification, call, self._decide(call)))
        except OSError:
            if notifications.still_waits(self._listener, notification):
                raise
            call.outcome = Outcome.CALLER_GONE

    def _hold_up(self, notification: Notification, received: float) -> None:
        """Let a thread have its epoll instance, late if it is one of the slow ones."""
        threads, seconds = self._slow
        name = ""
        with suppress(OSError):  # it died meanwhile
            name = Path(f"/proc/{notification.tid}/comm").read_text().rstrip("\n")
        late = seconds if fnmatchcase(name, threads) else 0.0
        self._at(received + late, lambda: notifications.let_run(self._listener, notification))

    def _pass_frame(self, notification: Notification) -> None:
        """Let a call that reads or writes run, unless a fault strikes it."""
        direction = self._directions[notification.number]
        fault = next((fault for fault in self._faults if fault.strikes(direction, notification)), None)
        if fault is None:
            notifications.let_run(self._listener, notification)
        elif fault.error:
            notifications.answer(self._listener, notification, fault.error)
        else:
            notifications.answer_length(self._listener, notification, fault.length)

    def _enter(self, caller: Caller, received: float) -> Call:
        queue = (caller.pid, caller.tap)
        call = Call(len(self._calls) + 1, received, caller, tuple(self._marks), grown=queue in self._grown)
        if caller.action is Action.ATTACH:
            self._grown.add(queue)
        self._calls.append(call)
        return call

    def _decide(self, call: Call) -> Verdict:
        for policy, start in self._policies:
            verdict = policy.decide(call, self._calls[start : call.number - 1])
            if verdict is not None:
                return verdict
        return Verdict()

    def _schedule(self, execution: Execution) -> None:
        self._executions.add(execution)
        begin, verdict = execution.call.time, execution.verdict

        def finish(last: Callable[[], object]) -> Callable[[], object]:
            def step() -> None:
                last()
                self._executions.discard(execution)

            return step

        if verdict.operate_after <= verdict.answer_after:
            self._at(begin + verdict.operate_after, execution.operate)
            self._at(begin + verdict.answer_after, finish(execution.answer))
        else:
            self._at(begin + verdict.answer_after, execution.answer)
            self._at(begin + verdict.operate_after, finish(execution.operate))

    def _at(self, due: float, step: Callable[[], object]) -> None:
        heapq.heappush(self._timers, (due, next(self._order), step))


def supervisor_of(process: VmmProcess) -> Supervisor | None:
    """Who stands between a process and the kernel, if anybody."""
    watcher = process.watcher
    if isinstance(watcher, Watched):
        watcher = watcher.inner
    return watcher if isinstance(watcher, Supervisor) else None
