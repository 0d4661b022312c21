"""A simulated guest machine: memory, PCI configuration by ports, and registers of the functions plugged in."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import Protocol

from harness.errors import GuestError
from harness.guest.probe.bus import Code, Memory, Operation
from harness.guest.probe.pci import CONFIG_ADDRESS, CONFIG_DATA
from harness.vmm.memory import MappedMemory

FOUR_GIB = 1 << 32
MEMORY = 32 << 20
MMIO_SIZE = 0x200


class Registers(Protocol):
    """What lies behind a memory BAR."""

    def load(self, offset: int, width: int) -> int: ...

    def store(self, offset: int, width: int, value: int) -> None: ...


class PciFunction:
    """A configuration space, and the registers behind its first BAR: a 64-bit one at `bar`."""

    def __init__(self, vendor: int, device: int, bar: int = 0, registers: Registers | None = None) -> None:
        self.config = bytearray(256)
        struct.pack_into("<HH", self.config, 0, vendor, device)
        struct.pack_into("<II", self.config, 0x10, bar & 0xFFFFFFFF | 4, bar >> 32)
        self.bar = bar
        self.registers = registers
        self._last_capability = 0x34 - 1
        self._room = 0x40

    def add_capability(self, identity: int, body: bytes) -> None:
        """Append to the list of capabilities; `body` is what follows id and next pointer."""
        at = self._room
        self.config[self._last_capability + 1] = at
        self.config[at : at + 2 + len(body)] = bytes([identity, 0]) + body
        self._last_capability = at
        self._room += -(-(2 + len(body)) // 4) * 4


class PciBridge(PciFunction):
    """A PCI-to-PCI bridge with a bus behind it."""

    def __init__(self, secondary: int) -> None:
        super().__init__(0x1B36, 0x000C)
        self.config[0x0E] = 1
        self.config[0x19] = secondary


class Machine:
    """A `Bus`. `functions` maps (bus number, device number) to what sits there, `mmio` addresses to registers."""

    def __init__(
        self, functions: dict[tuple[int, int], PciFunction], mmio: dict[int, Registers] | None = None
    ) -> None:
        self.functions = functions
        self.mmio = mmio or {}
        fd = os.memfd_create("simulated guest")
        os.truncate(fd, MEMORY)
        self._ram = MappedMemory(fd, MEMORY)
        os.close(fd)
        self.memory: Memory = self._ram
        self.free_memory = 1 << 20
        self.mapped: list[range] = []
        self.batches: list[list[Operation]] = []
        self._selected = 0

    def close(self) -> None:
        """Give the memory up."""
        self._ram.close()

    def run(self, operations: Sequence[Operation]) -> list[int]:
        self.batches.append(list(operations))
        return [value for operation in operations if (value := self._one(operation)) is not None]

    def run_last(self, operations: Sequence[Operation]) -> None:
        self.run(operations)

    def _one(self, o: Operation) -> int | None:
        match o.code:
            case Code.IN:
                return int.from_bytes(self._config(o.address)[: o.width], "little")
            case Code.OUT if o.address == CONFIG_ADDRESS:
                self._selected = o.value
            case Code.OUT:
                self._config(o.address)[: o.width] = o.value.to_bytes(o.width, "little")
            case Code.READ:
                registers, offset = self._behind(o.address)
                return registers.load(offset, o.width)
            case Code.WRITE:
                registers, offset = self._behind(o.address)
                registers.store(offset, o.width, o.value)
            case Code.MAP:
                self.mapped.append(range(o.address, o.address + o.value))
        return None

    def _config(self, port: int) -> memoryview:
        """What CONFIG_DATA shows at a port: all ones where there is no function."""
        where = self._selected >> 16 & 0xFF, self._selected >> 11 & 31
        assert self._selected >> 31 == 1, "configuration space was accessed without the enable bit"
        offset = (self._selected & 0xFC) + port - CONFIG_DATA
        function = self.functions.get(where)
        return memoryview(function.config if function else bytearray(b"\xff" * 256))[offset:]

    def _behind(self, address: int) -> tuple[Registers, int]:
        if address >= FOUR_GIB and not any(address in mapped for mapped in self.mapped):
            raise GuestError(f"page fault at {address:#x}")
        for function in self.functions.values():
            if function.registers is not None and 0 <= address - function.bar < 0x4000:
                return function.registers, address - function.bar
        for base, registers in self.mmio.items():
            if 0 <= address - base < MMIO_SIZE:
                return registers, address - base
        raise GuestError(f"nothing answers at {address:#x}")
