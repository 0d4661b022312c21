"""A guest's RAM within reach of this process: rings and buffers are read and written past the VMM and its guest."""

from __future__ import annotations

import mmap
import os
import re
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness.deadline import wait_until
from harness.errors import Owner

APPEARS_WITHIN = 5.0
_HALF = struct.Struct("<H")
_MAPS = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-([ps]) ([0-9a-f]+) (\S+) (\d+)")
"""A line of /proc/PID/maps: first and last address, whether it is shared, offset in the file, device, inode."""


class GuestMemory(ABC):
    """Guest-physical memory from address 0 on, `size` bytes, shared with the VMM. Addresses are guest-physical.

    Single loads and stores of 2 bytes go through `get16` and `set16`: they are one access each, which the
    fields that a device polls need (another write may be several).
    """

    size: int

    cost: str = ""
    """What reaching it costs beyond loads and stores, in words."""

    @abstractmethod
    def read(self, address: int, length: int) -> bytes:
        """`length` bytes from `address` on."""

    @abstractmethod
    def write(self, address: int, data: bytes) -> None:
        """Store `data` at `address`. Raises ValueError if it does not fit."""

    @abstractmethod
    def fill(self, address: int, length: int, value: int = 0) -> None:
        """Set `length` bytes to `value`."""

    @abstractmethod
    def get16(self, address: int) -> int:
        """One 2-byte load; `address` is even."""

    @abstractmethod
    def set16(self, address: int, value: int) -> None:
        """One 2-byte store; `address` is even."""

    @abstractmethod
    def close(self) -> None:
        """Give it up."""


class MappedMemory(GuestMemory):
    """Memory that the VMM shares, as a memfd or a file: it is mapped here too, from `offset` of `fd` on."""

    def __init__(self, fd: int, size: int, offset: int = 0) -> None:
        self.size = size
        self._map = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)
        self.bytes = memoryview(self._map)
        self._halves = self.bytes.cast("H")

    def read(self, address: int, length: int) -> bytes:
        return bytes(self.bytes[address : address + length])

    def write(self, address: int, data: bytes) -> None:
        self.bytes[address : address + len(data)] = data

    def fill(self, address: int, length: int, value: int = 0) -> None:
        self.bytes[address : address + length] = bytes([value]) * length

    def get16(self, address: int) -> int:
        return self._halves[address >> 1]

    def set16(self, address: int, value: int) -> None:
        self._halves[address >> 1] = value

    def close(self) -> None:
        self._halves.release()
        self.bytes.release()
        self._map.close()


class ProcessMemory(GuestMemory):
    """Memory that is the VMM's alone: read and written through its /proc/PID/mem, from address `base` of it on.

    The kernel copies two aligned bytes in one access.
    """

    cost = "guest memory is private to the VMM: each access to it is a system call"

    def __init__(self, pid: int, base: int, size: int) -> None:
        self.size = size
        self._base = base
        self._fd = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)

    def read(self, address: int, length: int) -> bytes:
        return os.pread(self._fd, self._within(address, length), self._base + address)

    def write(self, address: int, data: bytes) -> None:
        self._within(address, len(data))
        os.pwrite(self._fd, data, self._base + address)

    def fill(self, address: int, length: int, value: int = 0) -> None:
        self.write(address, bytes([value]) * length)

    def get16(self, address: int) -> int:
        return int(_HALF.unpack(self.read(address, 2))[0])

    def set16(self, address: int, value: int) -> None:
        self.write(address, _HALF.pack(value))

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _within(self, address: int, length: int) -> int:
        if not 0 <= address <= address + length <= self.size:
            raise ValueError(f"{length} bytes at {address:#x} are not within {self.size:#x} bytes of memory")
        return length


def find_guest_memory(pid: int, size: int, alive: Callable[[str], None]) -> GuestMemory:
    """The RAM of `size` bytes that VMM process `pid` has for its guest, once it is there, whatever backs it.

    That is the smallest of its shared mappings that hold as much, be it of a memfd, which may be larger, or of a file,
    and in one part or in several; or else a private one of that very size. `alive` raises if the VMM has died. Raises
    DeadlineExceeded if there is no such memory.
    """

    def find() -> GuestMemory | None:
        alive("its guest's memory was looked for")
        return _find(pid, size)

    return wait_until(
        f"process {pid} to hold {size >> 20} MiB of memory for its guest",
        find,
        owed_by=Owner.VMM,
        within=APPEARS_WITHIN,
    )


@dataclass(frozen=True)
class _Mapping:
    start: int
    size: int
    shared: bool
    offset: int
    device: str
    inode: int


def _mappings(pid: int) -> Iterator[_Mapping]:
    """What the process may read and write (proc_pid_maps(5))."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if found := _MAPS.match(line):
            start, end, how, offset, device, inode = found.groups()
            first = int(start, 16)
            yield _Mapping(first, int(end, 16) - first, how == "s", int(offset, 16), device, int(inode))


def _find(pid: int, size: int) -> GuestMemory | None:
    mappings = list(_mappings(pid))
    for mapping in sorted(_whole(each for each in mappings if each.shared), key=lambda each: each.size):
        if mapping.size >= size and (memory := _mapped(pid, mapping, size)) is not None:
            return memory
    for mapping in mappings:
        if not mapping.shared and mapping.size == size:
            return ProcessMemory(pid, mapping.start, size)
    return None


def _whole(shared: Iterable[_Mapping]) -> list[_Mapping]:
    """Mappings, where parts that follow on each other in one file are put together: crosvm maps its first MiB apart."""
    found: list[_Mapping] = []
    for part in sorted(shared, key=lambda each: (each.device, each.inode, each.offset)):
        last = found[-1] if found else None
        same = last is not None and (last.device, last.inode) == (part.device, part.inode)
        if last is not None and same and last.offset + last.size == part.offset:
            found[-1] = replace(last, size=last.size + part.size)
        else:
            found.append(part)
    return found


def _mapped(pid: int, mapping: _Mapping, size: int) -> GuestMemory | None:
    """What the process has mapped, mapped here too, by one of its descriptors of that file; None if it has none."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            state = entry.stat()
            if state.st_ino != mapping.inode or _device(state.st_dev) != mapping.device:
                continue
            fd = os.open(entry, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            return MappedMemory(fd, size, mapping.offset)
        finally:
            os.close(fd)
    return None


def _device(number: int) -> str:
    return f"{os.major(number):02x}:{os.minor(number):02x}"
