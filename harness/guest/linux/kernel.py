"""What the guest's kernel tells in /proc and in its log, read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile

from harness.errors import GuestError

WARNING = 4
"""The log level of warnings; lower is worse (Linux include/linux/kern_levels.h)."""

SLOW_HOST = re.compile(r"hrtimer: interrupt took|perf: interrupt took|clocksource: ")
"""Warnings about time, which a busy host causes and no device."""

_COUNT = re.compile(r"[0-9]{1,20}")
_LOG_LINE = re.compile(r"<(\d{1,9})>\[ *[\d.]+\] (.*)")


@dataclass(frozen=True)
class QueueInterrupts:
    """Interrupts that each virtqueue of a NIC raised so far, over all CPUs; pair i is item i.

    A queue whose interrupts are not told apart (too few vectors) is missing: the tuples are shorter then.
    """

    rx: tuple[int, ...]
    tx: tuple[int, ...]


@dataclass(frozen=True)
class LogLine:
    """A line of the kernel log. `level` is 0 (emergency) to 7 (debug)."""

    level: int
    text: str


def parse_interrupts(text: str, device: str) -> QueueInterrupts:
    """Read /proc/interrupts for a virtio device, such as `virtio0`."""
    counts: dict[str, dict[int, int]] = {"input": {}, "output": {}}
    queue_of = re.compile(rf"\b{re.escape(device)}-(input|output)\.(\d{{1,5}})$")
    for line in text.splitlines():
        number, _, row = line.partition(":")
        if number.strip().isdecimal() and (queue := queue_of.search(row)):
            per_cpu = takewhile(_COUNT.fullmatch, row.split())
            counts[queue[1]][int(queue[2])] = sum(map(int, per_cpu))
    return QueueInterrupts(rx=_in_order(counts["input"]), tx=_in_order(counts["output"]))


def parse_log(text: str, after: str | None = None) -> list[LogLine]:
    """Read `dmesg -r`; with `after`, only what follows the line that is this text.

    Raises GuestError if that line is not there any more.
    """
    lines = [
        LogLine(int(found[1]) & 7, found[2]) for found in map(_LOG_LINE.match, text.splitlines()) if found
    ]
    if after is None:
        return lines
    marks = [i for i, line in enumerate(lines) if line.text == after]
    if not marks:
        raise GuestError(f"the guest's kernel log has run over: the line {after!r} is gone")
    return lines[marks[-1] + 1 :]


def _in_order(by_queue: dict[int, int]) -> tuple[int, ...]:
    return tuple(count for _, count in sorted(by_queue.items()))
