"""How a virtio device's registers are reached, PCI or MMIO: the same registers by the same names."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from harness.guest.probe.bus import Bus, Operation

NO_VECTOR = 0xFFFF


class Common(IntEnum):
    """A device's registers, as offsets in the common configuration structure of PCI (virtio 1.2, 4.1.4.3)."""

    DEVICE_FEATURE_SELECT = 0
    DEVICE_FEATURE = 4
    DRIVER_FEATURE_SELECT = 8
    DRIVER_FEATURE = 12
    CONFIG_VECTOR = 16
    NUM_QUEUES = 18
    STATUS = 20
    GENERATION = 21
    QUEUE_SELECT = 22
    QUEUE_SIZE = 24
    QUEUE_VECTOR = 26
    QUEUE_ENABLE = 28
    QUEUE_NOTIFY_OFFSET = 30
    QUEUE_DESC = 32
    QUEUE_DRIVER = 40
    QUEUE_DEVICE = 48
    QUEUE_RESET = 58


class Structure(IntEnum):
    """Parts of a device's registers, by PCI's configuration structure types (cfg_type)."""

    COMMON = 1
    NOTIFY = 2
    ISR = 3
    DEVICE = 4


class Transport(Protocol):
    """Where the registers of one device lie. `str` names the place."""

    @property
    def tells_queue_size(self) -> bool:
        """Whether the size that a driver has chosen for a virtqueue can be read."""

    @property
    def bell_stride(self) -> int:
        """Bytes from one virtqueue's doorbell to the next one's."""

    def has(self, register: Common) -> bool:
        """Whether there is such a register at all."""

    def at(self, structure: Structure, offset: int) -> int:
        """Guest-physical address of a register: COMMON by its `Common`, DEVICE by its offset in configuration space.

        Raises Lacks for one that this transport does not have.
        """

    def get(self, register: Common, width: int) -> Operation:
        """The operation that reads a register, `width` bytes on PCI. Raises Lacks as `at` does."""

    def put(self, register: Common, width: int, value: int) -> Operation:
        """The operation that writes a register, `width` bytes on PCI. Raises Lacks as `at` does."""

    def doorbell(self, index: int, notify_offset: int) -> Operation:
        """The operation that notifies the device of a virtqueue, whose queue_notify_off was read."""

    def release(self, bus: Bus) -> None:
        """Take the right to reach memory from the device, as an operating system does that unbinds a driver."""
