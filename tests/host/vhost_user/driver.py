"""The guest's half of a split virtqueue, in memory that this process shares with the back end under test."""

from __future__ import annotations

import mmap
import os
import struct

from harness.host.vhost_user.payloads import RegionDescription, VringAddress

SIZE = 64
"""Descriptors in each ring."""

BUFFER = 2048
"""Bytes in each buffer."""

HEADER = 12
"""Bytes of the virtio-net header under VERSION_1."""

NEXT, WRITE, INDIRECT = 1, 2, 4

_DESCRIPTOR = struct.Struct("<QIHH")
_RING_SPAN = 0x4000
_AVAILABLE, _USED = 0x1000, 0x2000
_TABLES = 0x3000


class Memory:
    """A memfd at a guest address and, as vring addresses are given, at a user address."""

    def __init__(self, size: int, guest: int = 0x1000_0000, user: int = 0x7F00_0000_0000) -> None:
        self.fd = os.memfd_create("guest", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, size)
        self.map = mmap.mmap(self.fd, size)
        self.description = RegionDescription(guest, size, user, 0)

    def close(self) -> None:
        """Free it. May be called twice."""
        if not self.map.closed:
            self.map.close()
            os.close(self.fd)


class DriverRing:
    """One ring of the guest: posts buffers, sends frames, and reads what the device returned."""

    def __init__(self, memory: Memory, index: int) -> None:
        self.memory = memory
        self.index = index
        self.base = index * _RING_SPAN
        self.buffers = 0x20_0000 + index * SIZE * BUFFER
        self.available = 0
        self.seen = 0
        self.kick_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self.call_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    @property
    def address(self) -> VringAddress:
        user = self.memory.description.user + self.base
        return VringAddress(self.index, 0, user, user + _USED, user + _AVAILABLE, 0)

    def guest(self, offset: int) -> int:
        return self.memory.description.guest + offset

    def describe(self, slot: int, address: int, length: int, flags: int, follower: int = 0) -> None:
        _DESCRIPTOR.pack_into(self.memory.map, self.base + 16 * slot, address, length, flags, follower)

    def describe_indirect(self, slot: int, parts: list[tuple[int, int, int]]) -> None:
        """Let a slot point to a table of (address, length, flags)."""
        table = self.base + _TABLES
        for place, (address, length, flags) in enumerate(parts):
            more = NEXT if place + 1 < len(parts) else 0
            _DESCRIPTOR.pack_into(
                self.memory.map, table + 16 * place, address, length, flags | more, place + 1
            )
        self.describe(slot, self.guest(table), 16 * len(parts), INDIRECT)

    def offer(self, slot: int) -> None:
        """Make the chain that starts at a slot available."""
        entry = self.base + _AVAILABLE + 4 + 2 * (self.available % SIZE)
        struct.pack_into("<H", self.memory.map, entry, slot)
        self.available = (self.available + 1) & 0xFFFF
        self.set_available(self.available)

    def set_available(self, index: int) -> None:
        struct.pack_into("<H", self.memory.map, self.base + _AVAILABLE + 2, index)

    def post(self, count: int, length: int = BUFFER) -> None:
        """Offer that many empty receive buffers."""
        for _ in range(count):
            slot = self.available % SIZE
            self.describe(slot, self.guest(self.buffers + slot * BUFFER), length, WRITE)
            self.offer(slot)

    def send(self, *frames: bytes, kick: bool = True) -> None:
        """Offer frames on a transmit ring, and notify unless told not to."""
        for frame in frames:
            slot = self.available % SIZE
            place = self.buffers + slot * BUFFER
            self.memory.map[place : place + HEADER + len(frame)] = bytes(HEADER) + frame
            self.describe(slot, self.guest(place), HEADER + len(frame), 0)
            self.offer(slot)
        if kick:
            self.kick()

    def kick(self) -> None:
        os.eventfd_write(self.kick_fd, 1)

    @property
    def used(self) -> int:
        """The device's used index."""
        index: int = struct.unpack_from("<H", self.memory.map, self.base + _USED + 2)[0]
        return index

    def returned(self) -> list[tuple[int, int]]:
        """(slot, bytes written) of the chains that came back since the last call."""
        found = []
        while self.seen != self.used:
            element = self.base + _USED + 4 + 8 * (self.seen % SIZE)
            found.append(struct.unpack_from("<II", self.memory.map, element))
            self.seen = (self.seen + 1) & 0xFFFF
        return found

    def received(self) -> list[bytes]:
        """The frames that came back since the last call, merged as num_buffers says."""
        frames, chains = [], self.returned()
        while chains:
            data = self._data(*chains.pop(0))
            (count,) = struct.unpack_from("<H", data, 10)
            frames.append(data[HEADER:] + b"".join(self._data(*chains.pop(0)) for _ in range(count - 1)))
        return frames

    def _data(self, slot: int, length: int) -> bytes:
        place = self.buffers + slot * BUFFER
        return bytes(self.memory.map[place : place + length])

    def close(self) -> None:
        os.close(self.kick_fd)
        os.close(self.call_fd)
