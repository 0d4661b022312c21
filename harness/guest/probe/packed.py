"""The driver's side of a packed virtqueue (virtio 1.2, 2.8), polled, without interrupts and without EVENT_IDX.

Descriptors are given out and come back in one ring; whether one is available or used is told by two flags against a
wrap counter, which changes sides each time the ring's end is passed.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import ClassVar

from harness.errors import GuestError, HarnessError
from harness.guest.probe.virtqueue import (
    DESC_INDIRECT,
    DESC_NEXT,
    DESC_WRITE,
    DESCRIPTOR_BYTES,
    Arena,
    Buffer,
    Position,
    Used,
    Virtqueue,
)

DESC_AVAIL, DESC_USED = 1 << 7, 1 << 15
EVENT_DISABLE = 1
"""Of the driver's event suppression structure: no interrupts (virtio 1.2, 2.8.10)."""
_DESCRIPTOR = struct.Struct("<QIHH")
_EVENT_BYTES = 4
_FLAGS = 14
"""Where the flags lie in a descriptor."""


class _Place:
    """A place in the ring, and the wrap counter there."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.slot = 0
        self.wrap = True

    def advance(self, slots: int) -> None:
        """Go on by so many descriptors."""
        self.slot += slots
        if self.slot >= self.size:
            self.slot -= self.size
            self.wrap = not self.wrap

    @property
    def flags(self) -> int:
        """The flags of a descriptor that is available here."""
        return DESC_AVAIL if self.wrap else DESC_USED

    def number(self) -> int:
        """Both in one number, as virtio's own event fields hold them."""
        return self.slot | self.wrap << 15

    def move(self, number: int) -> None:
        """Go to where `number` was taken."""
        self.slot, self.wrap = number & 0x7FFF, bool(number >> 15)


class PackedVirtqueue(Virtqueue):
    """As Virtqueue, in the other layout: `available` and `used` are the two event suppression structures here.

    A chain is told by its buffer ID, which stands for each of its descriptors in `Used.descriptors`.
    """

    unlike_split: ClassVar[str] = "a packed virtqueue has no available and no used ring"

    def _lay_out(self, arena: Arena) -> None:
        self.descriptors = arena.take(DESCRIPTOR_BYTES * self.size, 4096)
        self.available = arena.take(_EVENT_BYTES, 4)
        self.used = arena.take(_EVENT_BYTES, 4)
        self.memory.fill(self.descriptors, self.used + _EVENT_BYTES - self.descriptors)
        self._next, self._next_used = _Place(self.size), _Place(self.size)
        self._hidden: list[tuple[int, int]] = []  # heads that the device may not see yet: slot, flags
        self.want_no_interrupts()

    def want_interrupts(self) -> None:
        """Ask for an interrupt when a chain is used; at first none is asked for."""
        self.memory.set16(self.available + 2, 0)

    def want_no_interrupts(self) -> None:
        """Ask for no interrupts again."""
        self.memory.set16(self.available + 2, EVENT_DISABLE)

    @property
    def avail_event(self) -> int:
        """There is none: raises HarnessError."""
        raise HarnessError(self.unlike_split)

    @property
    def used_index(self) -> int:
        """There is none: raises HarnessError."""
        raise HarnessError(self.unlike_split)

    def position(self) -> Position:
        """Where the driver stands: buffer IDs that are free, chains, and its two places with their wrap counters."""
        return Position(tuple(self._free), dict(self._chains), self._next.number(), self._next_used.number())

    def return_to(self, position: Position) -> None:
        """Forget what happened since: the memory was put back to that moment as well."""
        self._free, self._chains = list(position.free), dict(position.chains)
        self._next.move(position.exposed)
        self._next_used.move(position.seen)
        self._hidden.clear()

    def add_each(self, buffers: Sequence[Buffer]) -> None:
        """As `add` for each of them, a chain of its own."""
        for buffer in buffers:
            self.add([buffer])

    def add(self, buffers: Sequence[Buffer], table: int | None = None) -> int:
        """Put one chain into the ring without letting the device see it; its buffer ID. See Virtqueue.add."""
        slots = len(buffers) if table is None else 1
        if slots > self.size - sum(len(ids) for ids, _ in self._chains.values()):
            raise GuestError(f"virtqueue {self.index} is full: {self.outstanding} chains are outstanding")
        number = self._free.pop()
        if table is None:
            self._give((number,) * slots, tuple(buffers))
            return number
        for i, buffer in enumerate(buffers):
            flags = DESC_WRITE if buffer.device_writes else 0
            packed = _DESCRIPTOR.pack(buffer.address + self.iova_offset, buffer.length, 0, flags)
            self.memory.write(table + DESCRIPTOR_BYTES * i, packed)
        self._chains[number] = ((number,), tuple(buffers))
        self._put(table, DESCRIPTOR_BYTES * len(buffers), number, DESC_INDIRECT, head=True)
        return number

    def recycle(self, used: Used) -> None:
        """Put a reaped chain into the ring again, as it was, without letting the device see it."""
        self._give(used.descriptors, used.buffers)

    def release(self, used: Used) -> None:
        """Take a reaped chain's buffer ID back."""
        self._free.append(used.descriptors[0])

    def _give(self, ids: tuple[int, ...], buffers: tuple[Buffer, ...]) -> None:
        self._chains[ids[0]] = (ids, buffers)
        for i, buffer in enumerate(buffers):
            flags = (DESC_WRITE if buffer.device_writes else 0) | (
                DESC_NEXT if buffer is not buffers[-1] else 0
            )
            self._put(buffer.address, buffer.length, ids[0], flags, head=i == 0)

    def _put(self, address: int, length: int, number: int, flags: int, *, head: bool) -> None:
        """One descriptor. A head's flags are held back: with them the device sees the chain."""
        flags |= self._next.flags
        at = self.descriptors + DESCRIPTOR_BYTES * self._next.slot
        fields = _DESCRIPTOR.pack(address + self.iova_offset, length, number, flags)
        self.memory.write(at, fields[:_FLAGS] if head else fields)
        if head:
            self._hidden.append((at + _FLAGS, flags))
        self._next.advance(1)

    def publish(self) -> None:
        """Let the device see what was added."""
        for at, flags in reversed(self._hidden):  # the first one last: the device reads in order
            self.memory.set16(at, flags)
        self._hidden.clear()

    def reap(self) -> list[Used]:
        """The chains that the device has used since the last call. See Virtqueue.reap."""
        done: list[Used] = []
        while True:
            at = self.descriptors + DESCRIPTOR_BYTES * self._next_used.slot
            flags = self.memory.get16(at + _FLAGS)
            both = DESC_AVAIL | DESC_USED if self._next_used.wrap else 0
            if flags & (DESC_AVAIL | DESC_USED) != both:
                return done
            _, written, number, _ = _DESCRIPTOR.unpack(self.memory.read(at, DESCRIPTOR_BYTES))
            if number not in self._chains:
                raise GuestError(
                    f"the device returned buffer {number} on virtqueue {self.index}, which it does not hold"
                )
            ids, buffers = self._chains.pop(number)
            self._next_used.advance(len(ids))
            done.append(Used(ids, buffers, written))
