"""The guest's part in removing a device: VMMs take it away once the guest has ejected it through ACPI.

The guest has no interpreter for ACPI's byte code: where the registers lie is known of QEMU, and read from the byte
code of cloud-hypervisor. Both have one bit per slot of a bus (QEMU) or segment (cloud-hypervisor), which is selected
first. Sources: QEMU, docs/specs/acpi_pci_hotplug.rst; cloud-hypervisor, device_manager.rs (PHPR); ACPI 6.5, 20.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import GuestError
from harness.guest.probe.bus import Bus, Operation, map_registers, port_in, port_out, read, write

LEAVING, EJECT = 4, 8
"""Offsets: slots that are to be removed, and slots to eject."""
PORT_BASE, PORT_SELECT, PORT_BUSES = 0xCC0, 0x10, 8
"""Of q35: an I/O port; and how many buses are looked at."""
MAPPED_SELECT, MAPPED_BYTES = 12, 16
REGION = b"\x5b\x80PCST\x00"
"""In cloud-hypervisor's byte code: OperationRegion (PCST, SystemMemory, ...."""
TABLES, TABLES_END = 0xA0000, 0x100000
"""Where cloud-hypervisor puts its tables."""
_INTEGERS = {0x0A: 1, 0x0B: 2, 0x0C: 4, 0x0E: 8}
"""Bytes that follow a prefix of an integer."""


@dataclass(frozen=True)
class _Registers:
    base: int
    select: int
    units: int
    ports: bool = False

    def get(self, offset: int) -> Operation:
        return (port_in if self.ports else read)(4, self.base + offset)

    def put(self, offset: int, value: int) -> Operation:
        return (port_out if self.ports else write)(4, self.base + offset, value)


def eject(bus: Bus) -> Sequence[int]:
    """Eject whatever the VMM wants removed; its slots. Raises GuestError if that is nothing."""
    registers, ejected = _registers(bus), []
    for unit in range(registers.units):
        (leaving,) = bus.run([registers.put(registers.select, unit), registers.get(LEAVING)])
        for slot in (slot for slot in range(32) if leaving >> slot & 1):
            bus.run([registers.put(EJECT, 1 << slot)])
            ejected.append(slot)
    if not ejected:
        raise GuestError("the VMM wants no device removed, as far as the guest is told")
    return ejected


def _registers(bus: Bus) -> _Registers:
    address = region_of(bus.memory.read(TABLES, TABLES_END - TABLES))
    if address is None:
        return _Registers(PORT_BASE, PORT_SELECT, PORT_BUSES, ports=True)
    bus.run([map_registers(address, MAPPED_BYTES)])
    return _Registers(address, MAPPED_SELECT, 1)


def region_of(tables: bytes) -> int | None:
    """The address of the region PCST in ACPI's byte code; None if there is no such region."""
    at = tables.find(REGION)
    if at < 0:
        return None
    at += len(REGION)
    size = _INTEGERS.get(tables[at], 0)
    return int.from_bytes(tables[at + 1 : at + 1 + size], "little") if size else None
