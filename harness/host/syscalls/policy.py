"""What a supervisor does with a call: policies, and the verdicts that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.host.syscalls.call import Call, Operation
from harness.host.syscalls.conditions import ANY, Condition


@dataclass(frozen=True)
class Verdict:
    """What is done in the kernel, and what the caller is told. The default is what was asked for, and the truth.

    `operations`: None for what the call asks for, otherwise these, in order, instead. They must succeed: a
    policy that invents an impossible one is in error. `answer`: an errno to tell the caller, 0 for success,
    None for the truth. `answer_after` and `operate_after` are seconds from the notification; operations that
    come after the answer need one that is given.

    The supervisor carries operations out on a duplicate of the VMM's descriptor: it shares the open file
    description, in which the kernel keeps a queue's attachment, so the effect is that of the VMM's own call, and
    the result is known. With `by_caller` the kernel is told to go on with the VMM's call instead; its result
    cannot be learnt.
    """

    operations: tuple[Operation, ...] | None = None
    answer: int | None = None
    answer_after: float = 0.0
    operate_after: float = 0.0
    by_caller: bool = False

    def __post_init__(self) -> None:
        if self.operate_after > self.answer_after and self.answer is None:
            raise ValueError("the truth cannot be told before the operations are done: give an answer")


class Policy(Protocol):
    """Judges calls. One policy may serve several VMs, each from a thread of its own."""

    def decide(self, call: Call, earlier: Sequence[Call]) -> Verdict | None:
        """The verdict on a call, or None for no opinion: then it is done as asked, and answered with the truth.

        `earlier` are the calls before it, oldest first, since this policy was put in charge. Called on the
        supervisor's thread, while the caller waits: it must not block. What it raises ends the supervisor.
        """


@dataclass(frozen=True)
class Trace:
    """Changes nothing: every call is done as asked, and its true result recorded."""

    def decide(self, call: Call, earlier: Sequence[Call]) -> Verdict | None:
        """No opinion."""
        return None


@dataclass(frozen=True)
class Rule:
    """One verdict on chosen calls: those for which `when` holds, or the `nth` of them alone, counted from 1."""

    verdict: Verdict
    when: Condition = ANY
    nth: int | None = None

    def decide(self, call: Call, earlier: Sequence[Call]) -> Verdict | None:
        """The verdict if the call is a chosen one."""
        if not self.when.holds(call):
            return None
        if self.nth is not None and 1 + sum(map(self.when.holds, earlier)) != self.nth:
            return None
        return self.verdict


def let_run(when: Condition = ANY) -> Rule:
    """Leave the call to the caller. Its result cannot be learnt."""
    return Rule(Verdict(by_caller=True), when)


def fail(error: int, when: Condition = ANY, nth: int | None = None) -> Rule:
    """Do nothing and report `error` (an errno, positive)."""
    return Rule(Verdict(operations=(), answer=error), when, nth)


def swallow(when: Condition = ANY, nth: int | None = None) -> Rule:
    """Do nothing and report success."""
    return Rule(Verdict(operations=(), answer=0), when, nth)


def delay(seconds: float, when: Condition = ANY, nth: int | None = None) -> Rule:
    """A slow kernel: the call is done, and returns, after so many seconds."""
    return Rule(Verdict(answer_after=seconds, operate_after=seconds), when, nth)


def postpone(seconds: float, when: Condition = ANY, nth: int | None = None) -> Rule:
    """Report success at once, and do it after so many seconds."""
    return Rule(Verdict(answer=0, operate_after=seconds), when, nth)


def misreport(error: int, when: Condition = ANY, nth: int | None = None) -> Rule:
    """Do it, and report `error` (an errno; 0 hides a failure)."""
    return Rule(Verdict(answer=error), when, nth)
