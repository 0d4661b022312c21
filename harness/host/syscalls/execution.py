"""Carrying a verdict out: the operations in the kernel, and the answer to the caller."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence

from harness.errors import HarnessError
from harness.host import tun
from harness.host.syscalls import notifications
from harness.host.syscalls.call import Action, Call, Effect, Operation, Outcome
from harness.host.syscalls.notifications import Notification
from harness.host.syscalls.policy import Verdict


class Execution:
    """One call on its way from notification to answer.

    Descriptors are duplicated at once, so that operations that come later still mean the queue that was meant.
    A duplicate keeps its queue alive: `operate` or `abandon` closes it.
    """

    def __init__(self, listener: int, notification: Notification, call: Call, verdict: Verdict) -> None:
        self.call = call
        self.verdict = verdict
        self._listener = listener
        self._notification = notification
        self._by_caller = verdict.by_caller or call.action is None
        self._todo: list[tuple[Operation, int | None]] = []
        if not self._by_caller:
            self._todo = _duplicates(call.caller.pid, _operations(call, verdict))

    def operate(self) -> None:
        """Carry the operations out, in order. Raises HarnessError if one that the policy invented fails."""
        while self._todo:
            operation, duplicate = self._todo.pop(0)
            error = errno.EBADF if duplicate is None else _carry_out(operation, duplicate)
            self.call.effects.append(Effect(operation, error, time.monotonic()))
            if error and self.verdict.operations is not None and self._waits():
                raise HarnessError(f"the policy asked for what the kernel refuses: {self.call.effects[-1]}")

    def answer(self) -> None:
        """Let the caller go on."""
        call = self.call
        call.seconds = time.monotonic() - call.time
        # entered before the caller runs on: whoever sees what it does next finds the call complete
        if self._by_caller:
            call.outcome = Outcome.LET_RUN
            there = notifications.let_run(self._listener, self._notification)
        else:
            call.answer = self._truth() if self.verdict.answer is None else self.verdict.answer
            call.outcome = Outcome.ANSWERED
            there = notifications.answer(self._listener, self._notification, call.answer)
        if not there:
            self._lose_caller()

    def abandon(self) -> None:
        """Give up what has not been done."""
        for _, duplicate in self._todo:
            if duplicate is not None:
                os.close(duplicate)
        self._todo.clear()
        if self.call.outcome is Outcome.PENDING:
            self._lose_caller()

    def _waits(self) -> bool:
        return notifications.still_waits(self._listener, self._notification)

    def _truth(self) -> int:
        return next((effect.error for effect in self.call.effects if effect.error), 0)

    def _lose_caller(self) -> None:
        self.call.answer = None
        self.call.outcome = Outcome.CALLER_GONE


def _operations(call: Call, verdict: Verdict) -> Sequence[Operation]:
    if verdict.operations is not None:
        return verdict.operations
    assert call.action is not None
    return [Operation(call.caller.fd, call.action)]


def _duplicates(pid: int, operations: Sequence[Operation]) -> list[tuple[Operation, int | None]]:
    """Each operation with a duplicate of its descriptor; None where the process has no such descriptor."""
    process = os.pidfd_open(pid)
    try:
        return [(operation, _duplicate(process, operation.fd)) for operation in operations]
    finally:
        os.close(process)


def _duplicate(process: int, fd: int) -> int | None:
    try:
        return tun.duplicate_from(process, fd)
    except OSError as error:
        if error.errno == errno.EBADF:
            return None
        raise


def _carry_out(operation: Operation, duplicate: int) -> int:
    try:
        tun.set_queue(duplicate, attach=operation.action is Action.ATTACH)
    except OSError as error:
        return error.errno or 0
    finally:
        os.close(duplicate)
    return 0
