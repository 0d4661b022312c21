"""A guest's RAM mapped into this process: rings and buffers are read and written at memory speed."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path

from harness.deadline import wait_until
from harness.errors import Owner

APPEARS_WITHIN = 5.0


class GuestMemory:
    """Guest-physical memory from address 0 on, `size` bytes, shared with the VMM.

    Single loads and stores of 2 bytes go through `get16` and `set16`: they are one access each, which the
    fields that a device polls need (a sliced write may be several). Addresses are guest-physical.
    """

    def __init__(self, fd: int, size: int) -> None:
        self.size = size
        self._map = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self.bytes = memoryview(self._map)
        self._halves = self.bytes.cast("H")

    def read(self, address: int, length: int) -> bytes:
        """`length` bytes from `address` on."""
        return bytes(self.bytes[address : address + length])

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at `address`."""
        self.bytes[address : address + len(data)] = data

    def fill(self, address: int, length: int, value: int = 0) -> None:
        """Set `length` bytes to `value`."""
        self.bytes[address : address + length] = bytes([value]) * length

    def get16(self, address: int) -> int:
        """One 2-byte load; `address` is even."""
        return self._halves[address >> 1]

    def set16(self, address: int, value: int) -> None:
        """One 2-byte store; `address` is even."""
        self._halves[address >> 1] = value

    def close(self) -> None:
        """Give the mapping up."""
        self._halves.release()
        self.bytes.release()
        self._map.close()


def map_shared_memory(pid: int, size: int, alive: Callable[[str], None]) -> GuestMemory:
    """Map the memfd of `size` bytes that VMM process `pid` backs its guest's RAM with, once it is there.

    `alive` raises if the VMM has died. Raises DeadlineExceeded if there is no such memory: then the VM was not
    started with shared memory.
    """

    def find() -> GuestMemory | None:
        alive("its guest's memory was looked for")
        return _find_shared_memory(pid, size)

    return wait_until(
        f"process {pid} to hold {size >> 20} MiB of shared memory for its guest",
        find,
        owed_by=Owner.VMM,
        within=APPEARS_WITHIN,
        every=0.0005,
    )


def _find_shared_memory(pid: int, size: int) -> GuestMemory | None:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if not str(entry.readlink()).startswith("/memfd:") or entry.stat().st_size != size:
                continue
            fd = os.open(entry, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            return GuestMemory(fd, size)
        finally:
            os.close(fd)
    return None
