"""One TUNSETQUEUE of a supervised process: who asked for what, what the kernel did, what the caller was told."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from harness.host import tun


class Action(IntEnum):
    """What TUNSETQUEUE asks for, by the kernel's own flags (linux/if_tun.h)."""

    ATTACH = tun.IFF_ATTACH_QUEUE
    DETACH = tun.IFF_DETACH_QUEUE


class Outcome(Enum):
    """How a call stands."""

    PENDING = "waits for its answer"
    ANSWERED = "was answered by the supervisor"
    LET_RUN = "was carried out by the caller itself, its result is unknown"
    CALLER_GONE = "lost its caller before the answer"


@dataclass(frozen=True)
class Operation:
    """An attach or detach through the VMM's descriptor number `fd`."""

    fd: int
    action: Action


@dataclass(frozen=True)
class Effect:
    """An operation that was carried out: the kernel's verdict as an errno (0: done), and when (monotonic, s)."""

    operation: Operation
    error: int
    time: float

    def __str__(self) -> str:
        return f"{self.operation.action.name} fd {self.operation.fd}: {error_name(self.error)}"


@dataclass(frozen=True)
class Caller:
    """Who made a call, and for what: process, thread and its name, descriptor, tap, and the action asked for.

    Thread names are the kernel's: 15 characters at most. `tap` is empty for a descriptor that is bound to none.
    `action` is None where the flags are neither plain attach nor plain detach.
    """

    pid: int
    tid: int
    thread: str
    fd: int
    tap: str
    action: Action | None

    def __str__(self) -> str:
        action = self.action.name if self.action else "neither ATTACH nor DETACH"
        return f"{self.thread}[{self.tid}] {action} fd {self.fd} of {self.tap or 'no tap'}"


@dataclass
class Call:
    """A TUNSETQUEUE as the VMM made it. The supervisor fills in `outcome` and what follows it.

    `number` counts from 1; `time` is in monotonic seconds; `marks` are those set before. `grown` tells whether
    this process has attached a queue of this tap before: until then only activation can have spoken, for a
    driver's first command can but add pairs.
    """

    number: int
    time: float
    caller: Caller
    marks: tuple[str, ...] = ()
    grown: bool = False
    outcome: Outcome = Outcome.PENDING
    answer: int | None = None
    """The errno that the VMM was told, 0 for success; None while pending, and where it was not told by us."""
    effects: list[Effect] = field(default_factory=list)
    """What was done in the kernel on this call's account. A late effect comes after the answer."""
    seconds: float = 0.0
    """From the notification to the answer."""

    @property
    def action(self) -> Action | None:
        """What was asked for."""
        return self.caller.action

    @property
    def thread(self) -> str:
        """The name of the thread that asked."""
        return self.caller.thread

    @property
    def tap(self) -> str:
        """The tap in question."""
        return self.caller.tap

    def __str__(self) -> str:
        told = error_name(self.answer) if self.answer is not None else self.outcome.value
        return f"#{self.number} {self.caller} -> {told}{self._truth()} [{self.seconds * 1e6:.0f} us]"

    def _truth(self) -> str:
        """What was really done, where it differs from what was asked for and answered."""
        if self.outcome is not Outcome.ANSWERED or self.action is None:
            return ""
        asked = [(Operation(self.caller.fd, self.action), self.answer)]
        if [(effect.operation, effect.error) for effect in self.effects] == asked:
            return ""
        return f" (in truth: {', '.join(map(str, self.effects)) or 'nothing done'})"


def error_name(code: int) -> str:
    """`ok` for 0, EINVAL and the like for others."""
    return "ok" if code == 0 else errno.errorcode.get(code, os.strerror(code))
