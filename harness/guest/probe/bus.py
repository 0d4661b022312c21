"""What the driver needs of a guest: register accesses in batches, and memory that the device can reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class Code(IntEnum):
    """Kinds of operations; the numbers are those of fixtures/images/probe/monitor.c."""

    READ = 0
    WRITE = 1
    IN = 2
    OUT = 3
    MAP = 4


@dataclass(frozen=True)
class Operation:
    """One access of exactly `width` bytes, or the mapping of `value` bytes of registers from `address` on."""

    code: Code
    width: int
    address: int
    value: int = 0


def read(width: int, address: int) -> Operation:
    """Load from a memory-mapped register."""
    return Operation(Code.READ, width, address)


def write(width: int, address: int, value: int) -> Operation:
    """Store to a memory-mapped register."""
    return Operation(Code.WRITE, width, address, value)


def port_in(width: int, port: int) -> Operation:
    """Read an I/O port."""
    return Operation(Code.IN, width, port)


def port_out(width: int, port: int, value: int) -> Operation:
    """Write an I/O port."""
    return Operation(Code.OUT, width, port, value)


def map_registers(address: int, length: int) -> Operation:
    """Make registers reachable: needed once for addresses of 4 GiB and above."""
    return Operation(Code.MAP, 8, address, length)


class Memory(Protocol):
    """Guest-physical memory; see harness.vmm.memory.GuestMemory, the usual one."""

    size: int

    def read(self, address: int, length: int) -> bytes:
        """`length` bytes from `address` on."""

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at `address`."""

    def fill(self, address: int, length: int, value: int = 0) -> None:
        """Set `length` bytes to `value`."""

    def get16(self, address: int) -> int:
        """One 2-byte load."""

    def set16(self, address: int, value: int) -> None:
        """One 2-byte store."""


class Bus(Protocol):
    """A guest, or a simulation of one."""

    memory: Memory
    free_memory: int
    """First address of the memory that the driver may lay out; it reaches to `memory.size`."""

    def run(self, operations: Sequence[Operation]) -> list[int]:
        """Carry the operations out in order; the values of the reads (READ, IN), in order."""

    def run_last(self, operations: Sequence[Operation]) -> None:
        """Carry operations out of which the last ends this guest: nothing is answered, and nothing comes after."""
