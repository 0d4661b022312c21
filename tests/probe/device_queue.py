"""The device's side of a split virtqueue (virtio 1.2, 2.7), written from the specification alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from harness.guest.probe.bus import Memory

NEXT, WRITE = 1, 2


@dataclass(frozen=True)
class Chain:
    """What the driver made available: its head, and (address, length) of what is read and what is written."""

    head: int
    readable: tuple[tuple[int, int], ...]
    writable: tuple[tuple[int, int], ...]


class DeviceQueue:
    """Takes chains from the available ring, and returns them in the used ring."""

    def __init__(self, memory: Memory, size: int, descriptors: int, available: int, used: int) -> None:
        self.memory = memory
        self.size = size
        self._descriptors, self._available, self._used = descriptors, available, used
        self._taken = 0

    def take(self) -> Chain | None:
        """The next available chain, if there is one."""
        if self._taken == self.memory.get16(self._available + 2):
            return None
        head = self.memory.get16(self._available + 4 + 2 * (self._taken % self.size))
        self._taken = (self._taken + 1) % 65536
        readable: list[tuple[int, int]] = []
        writable: list[tuple[int, int]] = []
        at, more = head, True
        while more:
            raw = self.memory.read(self._descriptors + 16 * at, 16)
            address, length, flags, following = struct.unpack("<QIHH", raw)
            (writable if flags & WRITE else readable).append((address, length))
            more, at = bool(flags & NEXT), following
        return Chain(head, tuple(readable), tuple(writable))

    def take_all(self) -> list[Chain]:
        """All chains that are available now."""
        return list(iter(self.take, None))

    def give_back(self, head: int, written: int) -> None:
        """Return a chain as used."""
        index = self.memory.get16(self._used + 2)
        self.memory.write(self._used + 4 + 8 * (index % self.size), struct.pack("<II", head, written))
        self.memory.set16(self._used + 2, (index + 1) % 65536)
