"""Virtio over MMIO, version 2 (virtio 1.2, 4.2): registers of four bytes at an address that the VMM has chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.errors import GuestError, Lacks
from harness.guest.probe.bus import Bus, Operation, read, write
from harness.guest.probe.transport import Common, Structure

MAGIC_VALUE, VERSION, DEVICE_ID = 0x000, 0x004, 0x008
MAGIC = 0x74726976
"""The letters "virt"."""
MODERN = 2
NETWORK_CARD = 1
QUEUE_NUM = 0x038
QUEUE_NOTIFY = 0x050
CONFIG = 0x100

REGISTERS = {
    Common.DEVICE_FEATURE: 0x010,
    Common.DEVICE_FEATURE_SELECT: 0x014,
    Common.DRIVER_FEATURE: 0x020,
    Common.DRIVER_FEATURE_SELECT: 0x024,
    Common.QUEUE_SELECT: 0x030,
    Common.QUEUE_SIZE: 0x034,
    Common.QUEUE_ENABLE: 0x044,
    Common.STATUS: 0x070,
    Common.QUEUE_DESC: 0x080,
    Common.QUEUE_DRIVER: 0x090,
    Common.QUEUE_DEVICE: 0x0A0,
    Common.QUEUE_RESET: 0x0C0,
    Common.GENERATION: 0x0FC,
}
"""Offsets (virtio 1.2, table 4.1). QueueNumMax is what queue_size reads on PCI; what it takes is QueueNum."""
WRITTEN_ONLY = {
    Common.DEVICE_FEATURE_SELECT,
    Common.DRIVER_FEATURE,
    Common.DRIVER_FEATURE_SELECT,
    Common.QUEUE_SELECT,
}
"""Registers that a driver must not read (virtio 1.2, 4.2.2.2)."""


class Mmio:
    """The registers at one address: no num_queues, no vector, and one doorbell for all virtqueues."""

    tells_queue_size = False
    bell_stride = 0

    def __init__(self, address: int) -> None:
        self.address = address

    def __str__(self) -> str:
        return f"{self.address:#x}"

    def has(self, register: Common) -> bool:
        """See Transport."""
        return register in REGISTERS

    def at(self, structure: Structure, offset: int) -> int:
        """See Transport."""
        if structure is Structure.DEVICE:
            return self.address + CONFIG + offset
        if structure is not Structure.COMMON or not self.has(Common(offset)):
            name = Common(offset).name if structure is Structure.COMMON else structure.name
            raise Lacks(f"virtio over MMIO has no {name} register")
        return self.address + REGISTERS[Common(offset)]

    def get(self, register: Common, width: int) -> Operation:
        """See Transport."""
        if register in WRITTEN_ONLY:
            raise Lacks(f"virtio over MMIO has no {register.name} register that can be read")
        return read(4, self.at(Structure.COMMON, register))

    def put(self, register: Common, width: int, value: int) -> Operation:
        """See Transport."""
        if register is Common.QUEUE_SIZE:
            return write(4, self.address + QUEUE_NUM, value)
        return write(4, self.at(Structure.COMMON, register), value)

    def doorbell(self, index: int, notify_offset: int) -> Operation:
        """See Transport."""
        return write(4, self.address + QUEUE_NOTIFY, index)

    def release(self, bus: Bus) -> None:
        """There is nothing to take: the device may always reach memory."""


def scan(bus: Bus, slots: Sequence[int]) -> Iterator[Mmio]:
    """The network devices among these addresses. Raises GuestError for one of another version than 2."""
    registers = (MAGIC_VALUE, VERSION, DEVICE_ID)
    values = bus.run([read(4, slot + register) for slot in slots for register in registers])
    for number, slot in enumerate(slots):
        magic, version, device = values[3 * number : 3 * number + 3]
        if magic != MAGIC or device != NETWORK_CARD:
            continue
        if version != MODERN:
            raise GuestError(
                f"the virtio device at {slot:#x} has version {version} of MMIO, and not {MODERN}"
            )
        yield Mmio(slot)
