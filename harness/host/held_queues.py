"""Which queue of a tap is which pair: the queues that a VMM holds, in the order of the pairs.

The descriptors of a process tell which queues it holds, and not in which order it opened them: another thread may free
a lower number in between. The kernel's own numbers tell that, while the queues are as they were opened, and a mark on
each queue keeps it (harness.host.queue_numbers).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cmp_to_key

from harness.host import tun
from harness.host.queue_numbers import Asker, asker_on, mark, marked, trustworthy


@dataclass(frozen=True)
class HeldQueue:
    """A queue that a VMM holds: of which tap, our duplicate, its state, the VMM's own descriptors, lowest first."""

    tap: str
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
def held_queues(pid: int, tap: str | None = None) -> Iterator[list[HeldQueue]]:
    """What process `pid` holds of a tap, or of all, by the lowest descriptor of each, which is not that of the pairs.

    The duplicates are closed when the block ends. That must be soon: one that outlives the VMM keeps its queue alive.
    Raises OSError if the process is gone, Unavailable without the right to look into it.
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
            if tap not in (None, name):
                continue
            same = next((held for held in found if tun.same_file(duplicate, held.duplicate)), None)
            if same is not None:
                same.descriptors.append(number)
            else:
                found.append(HeldQueue(name, duplicate, not flags & tun.IFF_DETACH_QUEUE, [number]))
        yield found
    finally:
        for descriptor in open_here:
            os.close(descriptor)


def in_order(held: list[HeldQueue], asker: Asker | None) -> list[HeldQueue]:
    """A tap's queues in the order of the pairs: by the marks that they have, or get now; failing that, as opened.

    Without an `asker` the kernel is not asked, as where its numbers mean nothing.
    """
    if len(held) < 2:
        return held
    marks = [marked(queue.duplicate) for queue in held]
    if asker is not None and None in marks:
        numbers = [asker.number_of(queue.duplicate) for queue in held]
        if trustworthy(numbers, marks):
            for queue, number in zip(held, numbers, strict=True):
                assert number is not None
                mark(queue.duplicate, number)
            marks = [marked(queue.duplicate) for queue in held]
    if None in marks:
        return sorted(held, key=cmp_to_key(HeldQueue.opened_after))
    return [queue for _, queue in sorted(zip(marks, held, strict=True), key=lambda each: each[0] or 0)]


class Lookout:
    """Tells a tap's queues apart for whoever judges a VMM's calls, in a thread of its own and with no tap at hand.

    The kernel is asked when a process is first seen with a tap, before the call in question is carried out: VMMs open
    all queues before they make any call. Later its numbers are mixed up.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[int, str]] = set()

    def queues(self, pid: int, tap: str) -> list[HeldQueue]:
        """The queues of the tap that the process holds, in the order of the pairs; their duplicates are closed."""
        first = (pid, tap) not in self._seen
        self._seen.add((pid, tap))
        with held_queues(pid, tap) as held, asker_on(tap) if first else nullcontext() as asker:
            return in_order(held, asker)

    def taps(self, pid: int) -> dict[str, list[HeldQueue]]:
        """The queues of each tap of the process, by its name; the tap with the lowest descriptor first."""
        with held_queues(pid) as held:
            names = dict.fromkeys(queue.tap for queue in held)
        return {name: self.queues(pid, name) for name in names}


def _tun_descriptors(pid: int) -> list[int]:
    found, folder = [], f"/proc/{pid}/fd/"
    for name in os.listdir(folder):  # noqa: PTH208 -- a Path for each takes milliseconds
        try:
            if os.readlink(folder + name) == tun.DEVICE:  # noqa: PTH115
                found.append(int(name))
        except FileNotFoundError:
            continue
    return sorted(found)
