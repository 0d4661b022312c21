"""A virtio PCI device as registers: status, features, queues, doorbells (virtio 1.2, 4.1.4 and 3.1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from harness.deadline import wait_until
from harness.errors import HarnessError, Owner
from harness.guest.probe import pci
from harness.guest.probe.bus import Bus, Operation, map_registers, read, write
from harness.guest.probe.features import Feature
from harness.guest.probe.pci import Function, Structure
from harness.guest.probe.virtqueue import Virtqueue
from harness.guest.status import Status

NO_VECTOR = 0xFFFF
RESET_PATIENCE = 5.0
_FOUR_GIB = 1 << 32


class Common(IntEnum):
    """Offsets in the common configuration structure (virtio 1.2, 4.1.4.3)."""

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


@dataclass(frozen=True)
class QueueFacts:
    """What the device says of a virtqueue: its largest size (0: there is none), doorbell offset, enabled."""

    size: int
    notify_offset: int
    enabled: bool


class VirtioDevice:
    """One virtio PCI function, driven register by register. Nothing is done on the caller's behalf."""

    def __init__(self, bus: Bus, function: Function) -> None:
        self.bus = bus
        self.function = function
        config = pci.place_bars(bus, function)
        self.regions = pci.virtio_regions(config)
        self.msix_vectors = pci.msix_vectors(config)
        enable = pci.COMMAND_MEMORY | pci.COMMAND_BUS_MASTER | pci.COMMAND_NO_INTX
        pci.write_config(bus, function, pci.COMMAND, 2, enable)
        high = [region for region in self.regions.values() if region.address >= _FOUR_GIB]
        bus.run([map_registers(region.address, max(region.length, 1)) for region in high])
        self._doorbells: dict[int, int] = {}

    def release(self) -> None:
        """Take the right to reach memory from the function, as an operating system does that unbinds a driver."""
        pci.write_config(self.bus, self.function, pci.COMMAND, 2, pci.COMMAND_MEMORY | pci.COMMAND_NO_INTX)

    def at(self, structure: Structure, offset: int) -> int:
        """Guest-physical address of a register."""
        return self.regions[structure].address + offset

    def get(self, register: Common, width: int) -> Operation:
        """The operation that reads a common register."""
        return read(width, self.at(Structure.COMMON, register))

    def put(self, register: Common, width: int, value: int) -> Operation:
        """The operation that writes a common register."""
        return write(width, self.at(Structure.COMMON, register), value)

    def config(self, offset: int, width: int) -> int:
        """A field of the device-specific configuration."""
        return self.bus.run([read(width, self.at(Structure.DEVICE, offset))])[0]

    def config_bytes(self, offset: int, length: int) -> bytes:
        """Bytes of the device-specific configuration, read one by one."""
        return bytes(self.bus.run([read(1, self.at(Structure.DEVICE, offset + i)) for i in range(length)]))

    # Status

    @property
    def status(self) -> Status:
        """device_status as it reads now."""
        return Status(self.bus.run([self.get(Common.STATUS, 1)])[0])

    def set_status(self, status: Status) -> Status:
        """Write device_status; what it reads back."""
        return Status(self.bus.run([self.put(Common.STATUS, 1, status), self.get(Common.STATUS, 1)])[0])

    def reset(self) -> None:
        """Write 0 and wait until the device reads 0 (virtio 1.2, 4.1.4.3.2)."""
        self._doorbells.clear()
        if self.set_status(Status(0)):
            wait_until(
                "the device's status to read 0 after a reset",
                lambda: self.status == 0,
                owed_by=Owner.VMM,
                within=RESET_PATIENCE,
                last=lambda: f"status {int(self.status):#x}",
            )

    # Features

    def offered(self) -> Feature:
        """The features that the device offers. Needs ACKNOWLEDGE: before it some devices forget the selector."""
        return self._features(Common.DEVICE_FEATURE_SELECT, Common.DEVICE_FEATURE)

    def accepted(self) -> Feature:
        """The features that the driver has written, as the device reads them back."""
        return self._features(Common.DRIVER_FEATURE_SELECT, Common.DRIVER_FEATURE)

    def _features(self, select: Common, register: Common) -> Feature:
        low, high = self.bus.run(
            [self.put(select, 4, 0), self.get(register, 4), self.put(select, 4, 1), self.get(register, 4)]
        )
        return Feature(high << 32 | low)

    def negotiate(self, features: Feature) -> Status:
        """From a reset device to FEATURES_OK with exactly these features; the status read back."""
        started = Status.ACKNOWLEDGE | Status.DRIVER
        operations = [self.put(Common.STATUS, 1, Status.ACKNOWLEDGE), self.put(Common.STATUS, 1, started)]
        for half in (0, 1):
            operations += [
                self.put(Common.DRIVER_FEATURE_SELECT, 4, half),
                self.put(Common.DRIVER_FEATURE, 4, features >> 32 * half & 0xFFFFFFFF),
            ]
        operations += [self.put(Common.STATUS, 1, started | Status.FEATURES_OK), self.get(Common.STATUS, 1)]
        return Status(self.bus.run(operations)[0])

    def driver_ok(self) -> Status:
        """Set DRIVER_OK; the status read back."""
        ready = Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK | Status.DRIVER_OK
        return self.set_status(ready)

    # Virtqueues

    @property
    def num_queues(self) -> int:
        """The device's num_queues register."""
        return self.bus.run([self.get(Common.NUM_QUEUES, 2)])[0]

    @property
    def generation(self) -> int:
        """The device's config_generation register."""
        return self.bus.run([self.get(Common.GENERATION, 1)])[0]

    def queue_facts(self, indices: Sequence[int]) -> list[QueueFacts]:
        """What the device says of these virtqueues, in one batch."""
        operations = []
        for index in indices:
            operations += [
                self.put(Common.QUEUE_SELECT, 2, index),
                self.get(Common.QUEUE_SIZE, 2),
                self.get(Common.QUEUE_NOTIFY_OFFSET, 2),
                self.get(Common.QUEUE_ENABLE, 2),
            ]
        values = self.bus.run(operations)
        return [QueueFacts(values[i], values[i + 1], bool(values[i + 2])) for i in range(0, len(values), 3)]

    def enable_queues(self, queues: Sequence[Virtqueue]) -> None:
        """Tell the device where these virtqueues lie, and enable them. Their vectors are NO_VECTOR."""
        facts = self.queue_facts([queue.index for queue in queues])
        operations = []
        for queue, fact in zip(queues, facts, strict=True):
            notify = self.regions[Structure.NOTIFY]
            self._doorbells[queue.index] = notify.address + fact.notify_offset * notify.multiplier
            operations += [
                self.put(Common.QUEUE_SELECT, 2, queue.index),
                self.put(Common.QUEUE_SIZE, 2, queue.size),
                self.put(Common.QUEUE_VECTOR, 2, NO_VECTOR),
            ]
            for register, address in (
                (Common.QUEUE_DESC, queue.descriptors),
                (Common.QUEUE_DRIVER, queue.available),
                (Common.QUEUE_DEVICE, queue.used),
            ):
                low, told = self.at(Structure.COMMON, register), address + queue.iova_offset
                operations += [write(4, low, told & 0xFFFFFFFF), write(4, low + 4, told >> 32)]
            operations.append(self.put(Common.QUEUE_ENABLE, 2, 1))
        self.bus.run(operations)

    def reset_queue(self, index: int) -> None:
        """Reset one virtqueue (needs RING_RESET): set queue_reset, and wait until it reads 0 again."""
        select, register = self.put(Common.QUEUE_SELECT, 2, index), self.get(Common.QUEUE_RESET, 2)
        self.bus.run([select, self.put(Common.QUEUE_RESET, 2, 1)])
        wait_until(
            f"queue_reset of virtqueue {index} to read 0",
            lambda: self.bus.run([select, register])[0] == 0,
            owed_by=Owner.VMM,
            within=RESET_PATIENCE,
        )

    def doorbell(self, index: int) -> Operation:
        """The operation that notifies the device of new buffers on a virtqueue that was enabled."""
        if index not in self._doorbells:
            raise HarnessError(f"virtqueue {index} was not enabled: those are {sorted(self._doorbells)}")
        return write(2, self._doorbells[index], index)

    def notify(self, *indices: int) -> None:
        """Ring the doorbells of these virtqueues, in this order."""
        self.bus.run([self.doorbell(index) for index in indices])
