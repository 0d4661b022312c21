"""The queues of a tap that a VMM holds, in the order of the pairs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cmp_to_key
from pathlib import Path
from socket import socket

from harness.host import tun
from harness.host.queue_numbers import mark, marked, number_of, trustworthy


@dataclass(frozen=True)
class HeldQueue:
    """A queue that a VMM holds: our duplicate, its state, and the VMM's own descriptors, lowest first."""

    duplicate: int
    attached: bool
    descriptors: list[int]

    def opened_after(self, other: HeldQueue) -> int:
        """Positive if this queue was opened after the other, negative if before: for sorting, where no mark tells.

        A VMM duplicates each queue several times, each time in the order of the pairs, and another of its threads
        that opens or closes a file meanwhile may displace one number. So the majority of the duplicates decides.
        """
        both = list(zip(self.descriptors, other.descriptors, strict=False))
        return sum(1 if mine > others else -1 for mine, others in both) or both[-1][0] - both[-1][1]


@contextmanager
def held_queues(pid: int, tap: str) -> Iterator[list[HeldQueue]]:
    """What process `pid` holds of a tap, in no order. The duplicates are closed when the block ends.

    That must be soon: a duplicate that outlives the VMM keeps its queue alive.
    """
    open_here = [os.pidfd_open(pid)]
    found: list[HeldQueue] = []
    try:
        for number in _tun_descriptors(pid):
            try:
                open_here.append(duplicate := tun.duplicate_from(open_here[0], number))
                name, flags = tun.interface_of(duplicate)
            except OSError:
                continue  # closed meanwhile, or bound to no interface
            if name != tap:
                continue
            same = next((held for held in found if tun.same_file(duplicate, held.duplicate)), None)
            if same is not None:
                same.descriptors.append(number)
            else:
                found.append(HeldQueue(duplicate, not flags & tun.IFF_DETACH_QUEUE, [number]))
        yield found
    finally:
        for descriptor in open_here:
            os.close(descriptor)


def in_order(
    held: list[HeldQueue], receiver: socket, others: list[bytes], *, ask: bool = True
) -> list[HeldQueue]:
    """The queues in the order of the pairs: by the marks that they have, or get now; failing that, as opened.

    `receiver` and `others` are those of `number_of`. `ask`: whether the kernel's numbers mean anything.
    """
    if len(held) < 2:
        return held
    marks = [marked(queue.duplicate) for queue in held]
    if ask and None in marks:
        numbers = [number_of(queue.duplicate, receiver, others) for queue in held]
        if trustworthy(numbers, marks):
            for queue, number in zip(held, numbers, strict=True):
                assert number is not None
                mark(queue.duplicate, number)
            marks = [marked(queue.duplicate) for queue in held]
    if None in marks:
        return sorted(held, key=cmp_to_key(HeldQueue.opened_after))
    return [queue for _, queue in sorted(zip(marks, held, strict=True), key=lambda each: each[0] or 0)]


def _tun_descriptors(pid: int) -> list[int]:
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if str(entry.readlink()) == tun.DEVICE:
                found.append(int(entry.name))
        except FileNotFoundError:
            continue
    return sorted(found)
