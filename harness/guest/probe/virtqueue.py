"""The driver's side of a split virtqueue (virtio 1.2, 2.7), polled, with every step open to misuse.

No interrupts are asked for at first. Where EVENT_IDX was negotiated, `avail_event` and `want_interrupt_after` are its
two fields, and `needs_notification` what a driver makes of the first.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from harness.errors import GuestError, HarnessError
from harness.guest.probe.bus import Memory

DESC_NEXT, DESC_WRITE, DESC_INDIRECT = 1, 2, 4
AVAIL_NO_INTERRUPT = 1
_DESCRIPTOR = struct.Struct("<QIHH")
DESCRIPTOR_BYTES = _DESCRIPTOR.size
_USED = struct.Struct("<II")
_PAGE = 4096


class Arena:
    """Memory from `start` up to `end`, handed out from the bottom up, with whatever is in it.

    Addresses are guest-physical; the device is told them `iova_offset` higher, which is 0 without an IOMMU.
    """

    def __init__(self, memory: Memory, start: int, end: int, iova_offset: int = 0) -> None:
        self.memory = memory
        self.iova_offset = iova_offset
        self._start = self._next = start
        self._end = end

    def take(self, size: int, align: int = 64) -> int:
        """The address of `size` fresh bytes. Raises HarnessError when none are left."""
        address = -(-self._next // align) * align
        if address + size > self._end:
            room = (self._end - self._start) >> 10
            raise HarnessError(
                f"the driver's memory is full: {size} more bytes do not fit into its {room} KiB"
            )
        self._next = address + size
        return address

    def content(self) -> bytes:
        """All bytes handed out since it was last cleared."""
        return self.memory.read(self._start, self._next - self._start)

    def clear(self) -> None:
        """Take everything back."""
        self._next = self._start


class Buffer(NamedTuple):
    """One descriptor of a chain: guest-physical address, length in bytes, and whether the device writes it."""

    address: int
    length: int
    device_writes: bool


class Position(NamedTuple):
    """A driver's knowledge of a queue: free descriptors, chains given away, and its two positions."""

    free: tuple[int, ...]
    chains: dict[int, tuple[tuple[int, ...], tuple[Buffer, ...]]]
    exposed: int
    seen: int


class Used(NamedTuple):
    """A chain that came back: its descriptors, the head first, its buffers, and the bytes said to be written."""

    descriptors: tuple[int, ...]
    buffers: tuple[Buffer, ...]
    written: int


class Virtqueue:
    """A split virtqueue of `size` entries: `add` chains, `publish` them, `reap` what the device has used.

    A reaped chain still owns its descriptors, until it is given to `recycle` or `release`.

    Positions are free-running 16-bit counters, as in the rings: `used_index` is the device's, read afresh.
    """

    def __init__(self, arena: Arena, index: int, size: int) -> None:
        self.memory = arena.memory
        self.iova_offset = arena.iova_offset
        self.index = index
        self.size = size
        self._lay_out(arena)
        self._free = list(range(size - 1, -1, -1))
        self._chains: dict[int, tuple[tuple[int, ...], tuple[Buffer, ...]]] = {}
        self._exposed = 0
        self._seen = 0

    def _lay_out(self, arena: Arena) -> None:
        self.descriptors = arena.take(_DESCRIPTOR.size * self.size, _PAGE)
        self.available = arena.take(6 + 2 * self.size, 2)
        self.used = arena.take(6 + _USED.size * self.size, 4)
        # memory outlives a reset of the machine: what an earlier driver left must not look like commands of ours
        self.memory.fill(self.descriptors, self.used + 6 + _USED.size * self.size - self.descriptors)
        self.memory.set16(self.available, AVAIL_NO_INTERRUPT)

    def want_interrupts(self) -> None:
        """Ask for an interrupt when a chain is used; at first none is asked for."""
        self.memory.set16(self.available, 0)

    def want_no_interrupts(self) -> None:
        """Ask for no interrupts again."""
        self.memory.set16(self.available, AVAIL_NO_INTERRUPT)

    @property
    def avail_event(self) -> int:
        """The entry of the available ring at which the device wants to be notified (EVENT_IDX)."""
        return self.memory.get16(self.used + 4 + _USED.size * self.size)

    def needs_notification(self) -> bool:
        """Whether the device wants to hear of the entry that was published last (EVENT_IDX; virtio 1.2, 2.7.7.2)."""
        return self.avail_event == self._exposed - 1 & 0xFFFF

    def want_interrupt_after(self, more: int) -> None:
        """Ask for an interrupt once so many entries more than now have been used (EVENT_IDX: used_event)."""
        self.memory.set16(self.available + 4 + 2 * self.size, self.used_index + more - 1 & 0xFFFF)

    def position(self) -> Position:
        """Where the driver stands in this queue, to go back to with `return_to`."""
        return Position(tuple(self._free), dict(self._chains), self._exposed, self._seen)

    def return_to(self, position: Position) -> None:
        """Forget what happened since: the memory was put back to that moment as well."""
        self._free, self._chains = list(position.free), dict(position.chains)
        self._exposed, self._seen = position.exposed, position.seen

    @property
    def outstanding(self) -> int:
        """Chains that the device holds."""
        return len(self._chains)

    @property
    def used_index(self) -> int:
        """The device's position in the used ring, as it stands in memory now."""
        return self.memory.get16(self.used + 2)

    def add(self, buffers: Sequence[Buffer], table: int | None = None) -> int:
        """Put one chain into the available ring without publishing it; its head descriptor.

        `table`: where an indirect table of as many descriptors may lie, if the chain is to take one descriptor.
        """
        needed = len(buffers) if table is None else 1
        if needed > len(self._free):
            raise GuestError(f"virtqueue {self.index} is full: {self.outstanding} chains are outstanding")
        ids = tuple(self._free.pop() for _ in range(needed))
        if table is None:
            self._write_chain(self.descriptors, ids, buffers)
        else:
            self._write_chain(table, range(len(buffers)), buffers)
            whole = _DESCRIPTOR.pack(
                table + self.iova_offset, DESCRIPTOR_BYTES * len(buffers), DESC_INDIRECT, 0
            )
            self.memory.write(self.descriptors + DESCRIPTOR_BYTES * ids[0], whole)
        self._expose(ids, tuple(buffers))
        return ids[0]

    def add_each(self, buffers: Sequence[Buffer]) -> None:
        """As `add` for each of them, a chain of its own: a fresh queue gets them in two stores."""
        count = len(buffers)
        if self._exposed or self._chains or count > self.size:
            for buffer in buffers:
                self.add([buffer])
            return
        fields = (
            field
            for buffer in buffers
            for field in (
                buffer.address + self.iova_offset,
                buffer.length,
                DESC_WRITE * buffer.device_writes,
                0,
            )
        )
        self.memory.write(self.descriptors, struct.pack("<" + "QIHH" * count, *fields))
        self.memory.write(self.available + 4, struct.pack(f"<{count}H", *range(count)))
        self._chains = {head: ((head,), (buffer,)) for head, buffer in enumerate(buffers)}
        del self._free[self.size - count :]
        self._exposed = count & 0xFFFF

    def _write_chain(self, table: int, ids: Sequence[int], buffers: Sequence[Buffer]) -> None:
        for here, following, buffer in zip(ids, (*ids[1:], None), buffers, strict=True):
            flags = (DESC_WRITE if buffer.device_writes else 0) | (DESC_NEXT if following is not None else 0)
            packed = _DESCRIPTOR.pack(buffer.address + self.iova_offset, buffer.length, flags, following or 0)
            self.memory.write(table + DESCRIPTOR_BYTES * here, packed)

    def recycle(self, used: Used) -> None:
        """Put a reaped chain back into the available ring as it was, without publishing it."""
        self._expose(used.descriptors, used.buffers)

    def release(self, used: Used) -> None:
        """Take a reaped chain's descriptors back."""
        self._free.extend(reversed(used.descriptors))

    def _expose(self, ids: tuple[int, ...], buffers: tuple[Buffer, ...]) -> None:
        self._chains[ids[0]] = (ids, buffers)
        self.memory.set16(self.available + 4 + 2 * (self._exposed % self.size), ids[0])
        self._exposed = self._exposed + 1 & 0xFFFF

    def publish(self) -> None:
        """Let the device see what was added (store to avail.idx). x86 keeps the order of stores."""
        self.memory.set16(self.available + 2, self._exposed)

    def reap(self) -> list[Used]:
        """The chains that the device has used since the last call, in its order.

        Raises GuestError if it returns a chain that it does not hold: a buffer used twice, or never given.
        """
        done: list[Used] = []
        published = self.used_index
        while self._seen != published:
            at = self.used + 4 + _USED.size * (self._seen % self.size)
            head, written = _USED.unpack(self.memory.read(at, _USED.size))
            if head not in self._chains:
                raise GuestError(
                    f"the device returned descriptor {head} on virtqueue {self.index} at used index {self._seen}, "
                    f"which it does not hold"
                )
            self._seen = self._seen + 1 & 0xFFFF
            done.append(Used(*self._chains.pop(head), written))
        return done
