"""Which calls a rule is about: conditions that are combined with & | ~."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from harness.host.syscalls.call import Action, Call
from harness.vmm.base import Habits


@dataclass(frozen=True)
class Condition:
    """Something that holds for a call or does not. `text` is what a report shows."""

    text: str
    holds: Callable[[Call], bool] = field(repr=False, compare=False)

    def __and__(self, other: Condition) -> Condition:
        return Condition(
            f"({self.text} and {other.text})", lambda call: self.holds(call) and other.holds(call)
        )

    def __or__(self, other: Condition) -> Condition:
        return Condition(f"({self.text} or {other.text})", lambda call: self.holds(call) or other.holds(call))

    def __invert__(self) -> Condition:
        return Condition(f"not {self.text}", lambda call: not self.holds(call))

    def __str__(self) -> str:
        return self.text


ANY = Condition("any call", lambda call: True)
ATTACH = Condition("attach", lambda call: call.action is Action.ATTACH)
DETACH = Condition("detach", lambda call: call.action is Action.DETACH)
GROWN = Condition("after the tap's first attach", lambda call: call.grown)
MAIN_THREAD = Condition("by the main thread", lambda call: call.caller.tid == call.caller.pid)


def by_thread(pattern: str) -> Condition:
    """Made by a thread of that name: `vmm`, `*_ctrl`, `vcpu*` (shell pattern; names have 15 characters at most)."""
    return Condition(f"by thread {pattern}", lambda call: fnmatchcase(call.thread, pattern))


def on_tap(name: str) -> Condition:
    """On a queue of that tap."""
    return Condition(f"on tap {name}", lambda call: call.tap == name)


def since(mark: str) -> Condition:
    """After `Supervisor.mark(mark)`."""
    return Condition(f"since {mark}", lambda call: mark in call.marks)


RESUMED = "resumed"
"""The mark that is set once a VM that was restored or migrated runs, before its driver does anything."""


def restoring(habits: Habits) -> Condition:
    """In a VM that was saved or is migrated, before its guest goes on."""

    def restored(call: Call) -> bool:
        words = Path(f"/proc/{call.caller.pid}/cmdline").read_bytes().split(b"\0")
        return any(word.encode() in words for word in habits.restoring)

    return Condition("in a VM that was restored", restored) & ~since(RESUMED)


def at_activation(habits: Habits) -> Condition:
    """The device starts or is reset, as far as a call can tell: no command of the driver's is being carried out.

    VMMs open their taps attached, so all that is left to do then is to detach.
    """
    if habits.command_threads is not None:
        return DETACH & ~by_thread(habits.command_threads)
    return DETACH & (~GROWN | ~MAIN_THREAD)
