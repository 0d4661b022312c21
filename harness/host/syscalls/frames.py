"""A kernel that fails when a frame passes between a VMM and its tap: errors, and answers that are too short.

The VMM's calls that read and write are handed over one by one, which costs each of them a fraction of a millisecond:
only tests that need it ask for it (`FramesToo`). What is struck is not carried out: a frame that the VMM writes is
lost, one that it reads stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from harness.host.syscalls.call import Call
from harness.host.syscalls.kernel import Abi
from harness.host.syscalls.notifications import Notification
from harness.host.syscalls.policy import Policy, Verdict


class Direction(Enum):
    """Where a frame goes."""

    TO_HOST = "the VMM writes"
    TO_GUEST = "the VMM reads"


@dataclass
class FrameFault:
    """Strikes the next `times` frames that pass a tap in this direction, and counts what it `struck`.

    `error`: the errno that the VMM is told. 0: it is told that only `length` bytes have passed.
    """

    direction: Direction
    error: int = 0
    length: int = 0
    times: int = 1
    tap: str = ""
    struck: int = 0

    def strikes(self, direction: Direction, notification: Notification) -> bool:
        """Whether it strikes this call, which it counts then."""
        if direction is not self.direction or self.struck >= self.times:
            return False
        if _tap(notification.tid, notification.arguments[0]) != self.tap:
            return False
        self.struck += 1
        return True


@dataclass(frozen=True)
class FramesToo:
    """A policy for the TUNSETQUEUE calls of a VMM whose calls that read and write are handed over as well."""

    policy: Policy

    def decide(self, call: Call, earlier: Sequence[Call]) -> Verdict | None:
        """What the policy says."""
        return self.policy.decide(call, earlier)


def directions(numbers: Abi) -> dict[int, Direction]:
    """The system calls that move a frame, by number."""
    return {
        numbers.read: Direction.TO_GUEST,
        numbers.readv: Direction.TO_GUEST,
        numbers.write: Direction.TO_HOST,
        numbers.writev: Direction.TO_HOST,
    }


def _tap(tid: int, fd: int) -> str:
    """The tap that a caller's descriptor is a queue of; empty for any other file."""
    with suppress(OSError):  # the caller died meanwhile
        for line in Path(f"/proc/{tid}/fdinfo/{fd & 0xFFFFFFFF}").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "iff":
                return value.strip()
    return ""
