"""One split virtqueue, seen from the device's side (virtio 1.2, 2.7; vhost-user protocol, "Ring states")."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace

from harness.host.vhost_user.dirty_log import DirtyLog
from harness.host.vhost_user.memory import MemoryMap
from harness.host.vhost_user.payloads import Malformed, VringAddress

MAX_SIZE = 32768
_DESCRIPTOR = struct.Struct("=QIHH")
_USED_ELEMENT = struct.Struct("=II")
_NEXT, _WRITE, _INDIRECT = 1, 2, 4
_WRAP = 0xFFFF
_INDEX = 1
"""Where the index stands in the available and used rings, in 16-bit units; the entries follow it."""


class BrokenRing(Exception):
    """The driver's side of the ring makes no sense. The text completes "the guest's ring has ..."."""


@dataclass(slots=True)
class Counters:
    """What happened on one ring, over all connections."""

    kicks: int = 0
    """Notifications from the guest."""
    calls: int = 0
    """Interrupts to the guest."""
    received: int = 0
    """Frames put into the guest."""
    transmitted: int = 0
    """Frames that the guest sent while the ring was enabled."""
    discarded: int = 0
    """Frames that the guest sent while the ring was started but disabled, dropped as the protocol asks."""

    def copy(self) -> Counters:
        """The counters as they are now."""
        return replace(self)


Buffer = tuple[int, int, bool]
"""Guest address, length in bytes, whether the device writes to it."""


class Ring:
    """State and position of one vring.

    `started` and `enabled` are two flags of their own: a stopped ring remembers whether it is enabled.
    The index stores rely on x86's total store order; a driver on another architecture would need barriers.
    """

    def __init__(self, index: int, counters: Counters) -> None:
        self.index = index
        self.counters = counters
        self.size = 0
        self.next = 0
        """Next entry of the available ring to take, modulo 2**16."""
        self.used = 0
        """Next entry of the used ring to fill, modulo 2**16."""
        self.started = False
        self.enabled = False
        self.address: VringAddress | None = None
        self.described = False
        """Whether size and addresses are known, of this life: a ring that was stopped is to be described anew."""
        self.broken: str | None = None
        """Why the ring is no longer served, until it is set up anew."""
        self.kick: int | None = None
        self.call: int | None = None
        self.err: int | None = None
        self._views: list[memoryview] = []

    @property
    def transmits(self) -> bool:
        """Whether it is a transmitq: odd vrings are."""
        return bool(self.index & 1)

    @property
    def live(self) -> bool:
        """Whether the ring may be processed at all."""
        return self.started and not self.broken

    def map(self, memory: MemoryMap) -> None:
        """Find the ring in memory. Raises OutsideMemory, Malformed if it was not described yet."""
        self.unmap()
        if self.address is None or not self.size:
            raise Malformed(f"the start of vring {self.index} before its size and its addresses")
        descriptors = memory.user_view(self.address.descriptor, _DESCRIPTOR.size * self.size)
        available = memory.user_view(self.address.available, 4 + 2 * self.size)
        used = memory.user_view(self.address.used, 4 + _USED_ELEMENT.size * self.size)
        self._descriptors = descriptors
        self._available = available.cast("H")
        self._used_index = used[:4].cast("H")
        self._used_elements = used[4:]
        self._views = [self._available, self._used_index, self._used_elements, descriptors, available, used]
        self.used = self._used_index[_INDEX]
        self.broken = None

    def unmap(self) -> None:
        """Let go of the memory, which may then be unmapped."""
        for view in self._views:
            view.release()
        self._views = []

    def pending(self) -> int:
        """Chains that the driver has made available. Raises BrokenRing."""
        count = (self._available[_INDEX] - self.next) & _WRAP
        if count > self.size:
            raise BrokenRing(f"{count} chains available where {self.size} fit")
        return count

    def pop(self, memory: MemoryMap) -> tuple[int, list[Buffer]]:
        """Take the next available chain: its head, and its buffers in order.

        Raises BrokenRing for a chain that loops or points nowhere, OutsideMemory for an indirect table out of reach.
        """
        head = self._available[2 + self.next % self.size]
        if head >= self.size:
            raise BrokenRing(f"the chain head {head} where {self.size} descriptors are")
        self.next = (self.next + 1) & _WRAP
        address, length, flags, _ = _DESCRIPTOR.unpack_from(self._descriptors, _DESCRIPTOR.size * head)
        if not flags & (_NEXT | _INDIRECT):
            return head, [(address, length, bool(flags & _WRITE))]
        return head, self._walk(head, memory)

    def _walk(self, index: int, memory: MemoryMap) -> list[Buffer]:
        table, entries, indirect = self._descriptors, self.size, False
        buffers: list[Buffer] = []
        steps = 0
        while True:
            if index >= entries:
                raise BrokenRing(f"a chain that points to descriptor {index} of {entries}")
            if steps >= entries:
                raise BrokenRing("a chain that loops")
            steps += 1
            address, length, flags, follower = _DESCRIPTOR.unpack_from(table, _DESCRIPTOR.size * index)
            if flags & _INDIRECT:
                if indirect or length % _DESCRIPTOR.size or not length:
                    raise BrokenRing(
                        f"an indirect table of {length} bytes" + (" inside another" if indirect else "")
                    )
                table, entries, indirect = (
                    memory.guest_view(address, length),
                    length // _DESCRIPTOR.size,
                    True,
                )
                index = steps = 0
                continue
            buffers.append((address, length, bool(flags & _WRITE)))
            if not flags & _NEXT:
                return buffers
            index = follower

    def push(self, head: int, written: int) -> None:
        """Return a chain to the driver, invisible until `publish`. `written`: bytes that the device wrote."""
        place = _USED_ELEMENT.size * (self.used % self.size)
        _USED_ELEMENT.pack_into(self._used_elements, place, head, written)
        self.used = (self.used + 1) & _WRAP

    def position(self) -> tuple[int, int]:
        """Where the ring stands; see `rewind`."""
        return self.next, self.used

    def rewind(self, position: tuple[int, int]) -> None:
        """Undo pops and pushes that were not published."""
        self.next, self.used = position

    def publish(self, log: DirtyLog | None) -> None:
        """Show the driver what was pushed, and interrupt it.

        Always interrupts: honouring VIRTQ_AVAIL_F_NO_INTERRUPT takes a barrier that Python lacks, and a lost
        interrupt would look like a lost frame.
        """
        self._used_index[_INDEX] = self.used
        if log and self.address and self.address.flags & VringAddress.LOG:
            log.mark(self.address.log, 4 + _USED_ELEMENT.size * self.size)
        if self.call is not None:
            self.counters.calls += 1
            os.eventfd_write(self.call, 1)

    def fail(self, why: str) -> None:
        """Serve the ring no longer, and say so on its error descriptor."""
        self.broken = why
        if self.err is not None:
            os.eventfd_write(self.err, 1)

    def close(self) -> None:
        """Stop, and let go of memory and descriptors."""
        self.started = self.described = False
        self.unmap()
        for fd in (self.kick, self.call, self.err):
            if fd is not None:
                os.close(fd)
        self.kick = self.call = self.err = None
