"""A driver for the machine's virtual IOMMU (virtio 1.2, 5.13): what it maps, devices reach at other addresses."""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag

from harness.deadline import wait_until
from harness.errors import GuestError, Lacks, Owner
from harness.guest.probe import pci
from harness.guest.probe.bus import Bus
from harness.guest.probe.device import VirtioDevice
from harness.guest.probe.features import Feature
from harness.guest.probe.pci import Function
from harness.guest.probe.virtqueue import Arena, Buffer, Virtqueue
from harness.guest.status import Status

DEVICE_IOMMU = 0x1057
IOVA_OFFSET = 1 << 32
"""What is added to a guest-physical address to make the one that a device is given: no RAM of the guest is there."""
_MAP_UNMAP = Feature(1 << 2)
"""VIRTIO_IOMMU_F_MAP_UNMAP (virtio 1.2, 5.13.3)."""
_REQUEST_QUEUE, _EVENT_QUEUE = 0, 1
_DOMAIN = 1
_RING = 16
_PATIENCE = 5.0
_TAIL = 4
"""Bytes of struct virtio_iommu_req_tail: the status, and three reserved ones."""
_NO_STATUS = 0xFF


class Request(IntEnum):
    """Types of requests (virtio 1.2, 5.13.6)."""

    ATTACH = 1
    MAP = 3


class Access(IntFlag):
    """What a mapping allows (virtio 1.2, 5.13.6.5)."""

    READ = 1
    WRITE = 2


class VirtioIommu:
    """The IOMMU of a machine, started. Until an endpoint is attached, its addresses are let through as they are.

    Raises GuestError where the machine has none, or it does not start.
    """

    def __init__(self, bus: Bus, arena: Arena) -> None:
        self._arena = arena
        self._device = VirtioDevice(bus, pci.Pci(bus, _find(bus)))
        self._device.reset()
        status = self._device.negotiate(Feature.VERSION_1 | _MAP_UNMAP)
        if not status & Status.FEATURES_OK:
            raise GuestError(f"the IOMMU did not take its features: its status is {status!r}")
        self._requests, events = (Virtqueue(arena, index, _RING) for index in (_REQUEST_QUEUE, _EVENT_QUEUE))
        self._device.enable_queues([self._requests, events])  # some devices start with both alone
        self._device.driver_ok()

    def attach(self, device: VirtioDevice) -> None:
        """Put a device on PCI under the IOMMU: from now on it reaches what is mapped, and nothing else."""
        if not isinstance(device.transport, pci.Pci):
            raise Lacks("the suite puts no device on MMIO under an IOMMU")
        endpoint = device.transport.function
        number = endpoint.bus << 8 | endpoint.device << 3 | endpoint.function
        self._send(Request.ATTACH, struct.pack("<III4x", _DOMAIN, number, 0))

    def map(self, start: int, length: int) -> None:
        """Let the attached functions reach `length` bytes of guest memory from `start` on, IOVA_OFFSET higher."""
        virtual = start + IOVA_OFFSET
        access = Access.READ | Access.WRITE
        self._send(Request.MAP, struct.pack("<IQQQI", _DOMAIN, virtual, virtual + length - 1, start, access))

    def _send(self, kind: Request, body: bytes) -> None:
        memory, queue = self._arena.memory, self._requests
        out = struct.pack("<B3x", kind) + body
        at, tail = self._arena.take(len(out)), self._arena.take(_TAIL)
        memory.write(at, out)
        memory.write(tail, bytes([_NO_STATUS] * _TAIL))
        queue.add([Buffer(at, len(out), False), Buffer(tail, _TAIL, True)])
        queue.publish()
        self._device.notify(queue.index)
        done = wait_until(
            f"the IOMMU's answer to {kind.name}", queue.reap, owed_by=Owner.VMM, within=_PATIENCE
        )
        for used in done:
            queue.release(used)
        if status := memory.read(tail, 1)[0]:
            raise GuestError(f"the IOMMU refused {kind.name}: its status is {status}")


def _find(bus: Bus) -> Function:
    for function, identity in pci.scan(bus):
        if identity == pci.Identity(pci.VENDOR_VIRTIO, DEVICE_IOMMU):
            return function
    raise GuestError("the guest sees no virtio IOMMU")
