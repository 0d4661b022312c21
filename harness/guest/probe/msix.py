"""Interrupts without an interrupt handler: MSI-X with every vector masked, and the pending bits read.

A function must record a masked vector's interrupt in its pending bit array (PCI Local Bus Specification 3.0,
6.8.3.4), so what would have been sent can be read at leisure, vector by vector.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from harness.deadline import wait_until
from harness.errors import GuestError, Lacks, Owner
from harness.guest.probe import pci
from harness.guest.probe.bus import map_registers, read, write
from harness.guest.probe.device import VirtioDevice
from harness.guest.probe.features import MULTIQUEUE, Feature
from harness.guest.probe.transport import Common
from harness.record.pairs import Vectors

if TYPE_CHECKING:
    from harness.guest.probe.net import VirtioNet

CONFIG_VECTOR = 0
SENT_WITHIN = 1.0
"""Seconds in which a device sends the interrupt for a buffer that it used."""
ENTRY = 16
VECTOR_CONTROL = 12
MASKED = 1
ENABLE = 1 << 15


def has_vectors(device: VirtioDevice) -> bool:
    """Whether the device has MSI-X at all."""
    transport = device.transport
    if not isinstance(transport, pci.Pci):
        return False
    return _capability(pci.read_config(device.bus, transport.function)) is not None


def _capability(config: bytes) -> int | None:
    return next((at for at, identity in pci.capabilities(config) if identity == pci.CAPABILITY_MSIX), None)


class PendingVectors:
    """A device's MSI-X, enabled with all vectors masked. Made after ACKNOWLEDGE, before DRIVER_OK."""

    def __init__(self, device: VirtioDevice) -> None:
        self._device = device
        if not isinstance(device.transport, pci.Pci):
            raise Lacks("virtio over MMIO has no MSI-X")
        function = device.transport.function
        config = pci.read_config(device.bus, function)
        if (at := _capability(config)) is None:
            raise GuestError("the device has no MSI-X capability")
        table, pending = struct.unpack_from("<II", config, at + 4)
        self.count = pci.msix_vectors(config)
        self._table = pci.bar_address(config, table & 7) + (table & ~7)
        self._pending = pci.bar_address(config, pending & 7) + (pending & ~7)
        lengths = ((self._table, ENTRY * self.count), (self._pending, -(-self.count // 64) * 8))
        device.bus.run([map_registers(address, length) for address, length in lengths if address >> 32])
        control = struct.unpack_from("<H", config, at + 2)[0] | ENABLE
        device.bus.run(
            [write(4, self._table + ENTRY * i + VECTOR_CONTROL, MASKED) for i in range(self.count)]
        )
        pci.write_config(device.bus, function, at + 2, 2, control)
        self._tells = len(self._due()) < self.count
        """Whether there are pending bits: a VMM without them gives ones for what nobody answers."""

    def map_queues(self, vectors: Mapping[int, int]) -> dict[int, int]:
        """Map virtqueues to vectors; what the device reads back, by virtqueue."""
        device, operations = self._device, []
        for queue, vector in vectors.items():
            operations += [
                device.put(Common.QUEUE_SELECT, 2, queue),
                device.put(Common.QUEUE_VECTOR, 2, vector),
            ]
            operations.append(device.get(Common.QUEUE_VECTOR, 2))
        return dict(zip(vectors, device.bus.run(operations), strict=True))

    def mapped(self, queue: int) -> int:
        """The vector that a virtqueue is mapped to now."""
        device = self._device
        return device.bus.run(
            [device.put(Common.QUEUE_SELECT, 2, queue), device.get(Common.QUEUE_VECTOR, 2)]
        )[0]

    def mapped_config(self) -> int:
        """The vector that configuration changes are mapped to now."""
        return self._device.bus.run([self._device.get(Common.CONFIG_VECTOR, 2)])[0]

    def map_config(self, vector: int) -> int:
        """Map configuration changes to a vector; what the device reads back."""
        device = self._device
        return device.bus.run(
            [device.put(Common.CONFIG_VECTOR, 2, vector), device.get(Common.CONFIG_VECTOR, 2)]
        )[0]

    def pending(self) -> Vectors:
        """The vectors whose interrupt is due. Raises Lacks where the device does not tell."""
        if not self._tells:
            raise Lacks(
                "the device has no pending bits: before it was started all of them read 1, and nothing can be "
                "learnt of the interrupts that it would send"
            )
        return self._due()

    def _due(self) -> Vectors:
        words = self._device.bus.run([read(8, self._pending + 8 * i) for i in range(-(-self.count // 64))])
        bits = sum(word << 64 * i for i, word in enumerate(words))
        return Vectors((vector for vector in range(self.count) if bits >> vector & 1), "due are")


class QueueVectors(PendingVectors):
    """Interrupts that stay pending: vector 0 for configuration changes, and one for each virtqueue: `of_queue`.

    A queue is told its vector before it is enabled, as a driver must (virtio 1.2, 4.1.4.3.2): see `VirtioNet.prepare`.
    """

    def __init__(self, device: VirtioDevice, queues: Iterable[int]) -> None:
        super().__init__(device)
        self.of_queue = {queue: number for number, queue in enumerate(queues, CONFIG_VECTOR + 1)}
        if self.map_config(CONFIG_VECTOR) != CONFIG_VECTOR:
            raise GuestError("the device did not take a vector for its configuration")

    def check_taken(self) -> None:
        """Raise GuestError unless each queue reads back the vector that it was told."""
        if {queue: self.mapped(queue) for queue in self.of_queue} != self.of_queue:
            raise GuestError("the device did not take a vector for each of its queues")

    def await_pending(self, wanted: Collection[int]) -> None:
        """Wait until these vectors are due, whatever others are. Raises DeadlineExceeded that names those that are."""
        wait_until(
            f"the interrupts of vectors {sorted(wanted)}",
            lambda: self.pending() >= set(wanted),
            owed_by=Owner.VMM,
            within=SENT_WITHIN,
            last=lambda: f"{self.pending()!r}; by queue they are {self.of_queue}",
        )


def start_with_vectors(
    net: VirtioNet, features: Feature = MULTIQUEUE, queues: Collection[int] | None = None
) -> QueueVectors:
    """Start the driver with a masked vector of its own for each virtqueue, and interrupts wanted from all of them."""
    vectors = prepare_with_vectors(net, features, queues)
    for queue in net.queues.values():
        queue.want_interrupts()
    net.set_driver_ok()
    return vectors


def prepare_with_vectors(
    net: VirtioNet,
    features: Feature = MULTIQUEUE,
    queues: Collection[int] | None = None,
) -> QueueVectors:
    """As `start_with_vectors`, without DRIVER_OK."""
    made: list[QueueVectors] = []

    def choose(device: VirtioDevice, indices: Collection[int]) -> Mapping[int, int]:
        made.append(QueueVectors(device, indices))
        return made[0].of_queue

    status = net.prepare(features, queues=queues, vectors=choose)
    if not made:
        raise GuestError(f"the device did not take the features {features!r}: its status is {status!r}")
    made[0].check_taken()
    return made[0]


def a_vector_each(device: VirtioDevice, queues: Collection[int]) -> dict[int, int]:
    """A vector for each virtqueue, as drivers have that do not poll; none where there is no MSI-X."""
    if not has_vectors(device):
        return {}
    PendingVectors(device)  # which enables MSI-X, all of it masked
    return {queue: number for number, queue in enumerate(queues, 1)}
