"""Watches and alters a process's TUNSETQUEUE calls from outside, on any binary, by seccomp user notification.

A `Supervisor` starts the process under a filter that hands each call over (filter, spawn, notifications), finds
out who asks for what (caller), asks its policies for a verdict (policy, conditions), carries it out on a duplicate
of the descriptor (execution), and keeps the record (call). `mutants` are ready-made policies, most of which keep
a tap in another shape than the VMM believes (reshape). A `ViolationWatch` traces a process for calls that
its own filter forbids; those never reach a supervisor. `Sightings` gathers what several watches saw.
"""

from harness.host.syscalls.call import Action, Call, Caller, Effect, Operation, Outcome
from harness.host.syscalls.conditions import (
    ANY,
    ATTACH,
    DETACH,
    GROWN,
    MAIN_THREAD,
    Condition,
    at_activation,
    by_thread,
    on_tap,
    since,
)
from harness.host.syscalls.filter import available, missing
from harness.host.syscalls.frames import Direction, FrameFault, FramesToo
from harness.host.syscalls.policy import (
    Policy,
    Rule,
    Trace,
    Verdict,
    delay,
    fail,
    let_run,
    misreport,
    postpone,
    swallow,
)
from harness.host.syscalls.supervisor import Supervisor, supervisor_of
from harness.host.syscalls.violations import Sightings, Violation, ViolationWatch

__all__ = [
    "ANY",
    "ATTACH",
    "DETACH",
    "GROWN",
    "MAIN_THREAD",
    "Action",
    "Call",
    "Caller",
    "Condition",
    "Direction",
    "Effect",
    "FrameFault",
    "FramesToo",
    "Operation",
    "Outcome",
    "Policy",
    "Rule",
    "Sightings",
    "Supervisor",
    "Trace",
    "Verdict",
    "Violation",
    "ViolationWatch",
    "at_activation",
    "available",
    "by_thread",
    "delay",
    "fail",
    "let_run",
    "misreport",
    "missing",
    "on_tap",
    "postpone",
    "since",
    "supervisor_of",
    "swallow",
]
