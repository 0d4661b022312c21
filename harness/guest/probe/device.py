"""A virtio device as registers: status, features, queues, doorbells (virtio 1.2, 3.1.1, 4.1.4 and 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.deadline import wait_until
from harness.errors import HarnessError, Owner
from harness.guest.probe.bus import Bus, Operation, read, write
from harness.guest.probe.features import Feature
from harness.guest.probe.transport import NO_VECTOR, Common, Structure, Transport
from harness.guest.probe.virtqueue import Virtqueue
from harness.guest.status import Status

RESET_PATIENCE = 5.0


@dataclass(frozen=True)
class QueueFacts:
    """What the device says of a virtqueue: largest size (0: there is none), queue_notify_off (0 on MMIO), enabled."""

    size: int
    notify_offset: int
    enabled: bool


class VirtioDevice:
    """One virtio device, driven register by register. Nothing is done on the caller's behalf."""

    def __init__(self, bus: Bus, transport: Transport) -> None:
        self.bus = bus
        self.transport = transport
        self._doorbells: dict[int, Operation] = {}

    def release(self) -> None:
        """Take the right to reach memory from the device, as an operating system does that unbinds a driver."""
        self.transport.release(self.bus)

    def at(self, structure: Structure, offset: int) -> int:
        """Guest-physical address of a register."""
        return self.transport.at(structure, offset)

    def get(self, register: Common, width: int) -> Operation:
        """The operation that reads a register."""
        return self.transport.get(register, width)

    def put(self, register: Common, width: int, value: int) -> Operation:
        """The operation that writes a register."""
        return self.transport.put(register, width, value)

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
        """Write 0 and wait until the device reads 0 (virtio 1.2, 4.1.4.3.2 and 4.2.2.1)."""
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
        wanted = [Common.QUEUE_SIZE, Common.QUEUE_NOTIFY_OFFSET, Common.QUEUE_ENABLE]
        registers = [register for register in wanted if self.transport.has(register)]
        operations = []
        for index in indices:
            operations.append(self.put(Common.QUEUE_SELECT, 2, index))
            operations += [self.get(register, 2) for register in registers]
        values = self.bus.run(operations)
        facts = []
        for at in range(0, len(values), len(registers)):
            read_back = dict(zip(registers, values[at:], strict=False))
            offset = read_back.get(Common.QUEUE_NOTIFY_OFFSET, 0)
            facts.append(
                QueueFacts(read_back[Common.QUEUE_SIZE], offset, bool(read_back[Common.QUEUE_ENABLE]))
            )
        return facts

    def enable_queues(self, queues: Sequence[Virtqueue], vectors: Mapping[int, int] | None = None) -> None:
        """Tell the device where these virtqueues lie, and enable them. `vectors` are theirs, by index; or NO_VECTOR."""
        facts = self.queue_facts([queue.index for queue in queues])
        operations = []
        for queue, fact in zip(queues, facts, strict=True):
            self._doorbells[queue.index] = self.transport.doorbell(queue.index, fact.notify_offset)
            operations += [
                self.put(Common.QUEUE_SELECT, 2, queue.index),
                self.put(Common.QUEUE_SIZE, 2, queue.size),
            ]
            if self.transport.has(Common.QUEUE_VECTOR):
                vector = (vectors or {}).get(queue.index, NO_VECTOR)
                operations.append(self.put(Common.QUEUE_VECTOR, 2, vector))
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
        return self._doorbells[index]

    def notify(self, *indices: int) -> None:
        """Ring the doorbells of these virtqueues, in this order."""
        self.bus.run([self.doorbell(index) for index in indices])
