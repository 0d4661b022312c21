"""A test's timeline: what every source recorded, on one clock, the host's monotonic one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from harness.host.backend import VhostUserPeer
from harness.host.syscalls import supervisor_of
from harness.record.journal import Journal
from harness.record.results import Event
from harness.testbed.nic import Nic
from harness.vmm.base import Vm

LONGEST = 240
"""Characters of a line: some VMMs log their whole configuration in one."""

VISIBLE = 0.001
"""Seconds: a smaller doubt about the VMM's clock is not told."""

MOST = 1000
"""Lines of one test: the first and the last are kept. Random walks make many more."""


def merged(journal: Journal, vms: Sequence[Vm], nics: Sequence[Nic]) -> tuple[Event, ...]:
    """The journal with the VMMs' logs, their traced TUNSETQUEUE calls, and the vhost-user messages, in order.

    Guest, frames, system calls and messages are timed when they happen. A VMM's log counts from the VMM's own start:
    its lines are placed between the entries that must come before and after (see `LogClock`). Changes of a tap are
    entered when they are read, right after the command that caused them, in their true order. What happened to a VM
    before the test took it over is left out.
    """
    events = [*journal.events]
    for vm in vms:
        events += _of_vm(journal, vm)
    for nic in nics:
        events += _of_nic(journal, nic)
    return tuple(_shortened(sorted((e for e in events if e.at >= 0), key=lambda event: event.at)))


def text(events: Sequence[Event]) -> str:
    """The lines, for people."""
    return "\n".join(
        f"{event.at:9.4f}  {event.source:<10}  {event.text}" for event in events if event.frames is None
    )


def _of_vm(journal: Journal, vm: Vm) -> Iterator[Event]:
    lines = vm.timed_log()
    for at, line in vm.process.clock.place(lines):
        yield Event(journal.since(at), "vmm", _cut(line))
    if lines and VISIBLE < (doubt := vm.process.clock.uncertainty(lines)) < inf:
        yield Event(
            0.0, "test", f"lines of {vm.vmm.name}'s log may be off by {doubt:.3f} s, not across other lines"
        )
    if (supervisor := supervisor_of(vm.process)) is not None:
        for call in supervisor.calls:
            yield Event(journal.since(call.time), "syscall", f"TUNSETQUEUE {call}")


def _of_nic(journal: Journal, nic: Nic) -> Iterator[Event]:
    if isinstance(nic.backend, VhostUserPeer):
        for entry in nic.backend.messages():
            yield Event(journal.since(entry.time), "vhost-user", _cut(str(entry)))


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _shortened(events: list[Event]) -> list[Event]:
    if len(events) <= MOST:
        return events
    head = MOST // 4
    tail = events[head - MOST + 1 :]
    gap = Event(tail[0].at, "test", f"{len(events) - MOST + 1} lines left out")
    return [*events[:head], gap, *tail]
