"""The driver's side of a packed virtqueue, against a device side written from the specification (virtio 1.2, 2.8)."""

from __future__ import annotations

import struct

import pytest

from harness.errors import GuestError, HarnessError
from harness.guest.probe.packed import DESC_AVAIL, DESC_USED, PackedVirtqueue
from harness.guest.probe.virtqueue import DESC_NEXT, Arena, Buffer
from tests.probe.machine import Machine

SIZE = 4
OUT, IN = Buffer(0x200000, 10, False), Buffer(0x200100, 20, True)


class Device:
    """Takes chains in the ring's order, and gives them back where it took the first of those it holds."""

    def __init__(self, queue: PackedVirtqueue) -> None:
        self.queue = queue
        self.taken = self.given = 0
        """Descriptors since the start: which round it is follows from them."""

    def _at(self, count: int) -> tuple[int, bool]:
        return self.queue.descriptors + 16 * (count % SIZE), count // SIZE % 2 == 0

    def take(self) -> tuple[int, list[int]] | None:
        """Buffer ID and addresses of the next chain."""
        addresses: list[int] = []
        while True:
            at, wrap = self._at(self.taken)
            address, _, number, flags = struct.unpack("<QIHH", self.queue.memory.read(at, 16))
            if flags & (DESC_AVAIL | DESC_USED) != (DESC_AVAIL if wrap else DESC_USED):
                assert not addresses, "a chain has no end"
                return None
            self.taken += 1
            addresses.append(address)
            if not flags & DESC_NEXT:
                return number, addresses

    def give_back(self, number: int, slots: int, written: int = 0) -> None:
        """Use a chain of so many descriptors."""
        at, wrap = self._at(self.given)
        flags = DESC_AVAIL | DESC_USED if wrap else 0
        self.queue.memory.write(at, struct.pack("<QIHH", 0, written, number, flags))
        self.given += slots


@pytest.fixture
def queue(machine: Machine) -> PackedVirtqueue:
    return PackedVirtqueue(Arena(machine.memory, 1 << 20, 4 << 20, iova_offset=1 << 32), 5, SIZE)


def test_nothing_is_seen_before_it_is_published(queue: PackedVirtqueue) -> None:
    device = Device(queue)
    queue.add([OUT, IN])
    queue.add([OUT])
    assert device.take() is None
    queue.publish()
    assert device.take() is not None
    assert device.take() is not None


def test_addresses_are_told_as_the_iommu_has_them(queue: PackedVirtqueue) -> None:
    number = queue.add([OUT, IN])
    queue.publish()
    assert Device(queue).take() == (number, [0x200000 + (1 << 32), 0x200100 + (1 << 32)])


def test_many_rounds_of_chains_that_cross_the_rings_end(queue: PackedVirtqueue) -> None:
    device = Device(queue)
    for turn in range(5 * SIZE):
        number = queue.add([OUT, OUT, IN])
        queue.publish()
        assert device.take() == (number, [each.address + (1 << 32) for each in (OUT, OUT, IN)])
        assert queue.reap() == []
        device.give_back(number, 3, written=turn)
        (used,) = queue.reap()
        assert (used.descriptors[0], used.written, used.buffers) == (number, turn, (OUT, OUT, IN))
        queue.release(used)


def test_recycled_chains_come_round_again(queue: PackedVirtqueue) -> None:
    device = Device(queue)
    numbers = [queue.add([IN]) for _ in range(SIZE)]
    queue.publish()
    for _ in range(3):
        for number in numbers:
            assert device.take() == (number, [IN.address + (1 << 32)])
            device.give_back(number, 1)
        for used in queue.reap():
            queue.recycle(used)
        queue.publish()
    assert queue.outstanding == SIZE


def test_full_until_chains_are_released(queue: PackedVirtqueue) -> None:
    device = Device(queue)
    number = queue.add([OUT, OUT, OUT])
    queue.publish()
    with pytest.raises(GuestError, match="full"):
        queue.add([OUT, OUT])
    device.take()
    device.give_back(number, 3)
    queue.release(queue.reap()[0])
    queue.add([OUT, OUT])


def test_buffer_that_the_device_does_not_hold(queue: PackedVirtqueue) -> None:
    queue.add([OUT])
    queue.publish()
    Device(queue).give_back(9, 1)
    with pytest.raises(GuestError, match="buffer 9 on virtqueue 5, which it does not hold"):
        queue.reap()


def test_goes_back_to_an_earlier_position(queue: PackedVirtqueue) -> None:
    device = Device(queue)
    first = queue.add([OUT, IN])
    queue.publish()
    then, memory = queue.position(), queue.memory.read(queue.descriptors, 16 * SIZE)
    device.give_back(first, 2)
    queue.release(queue.reap()[0])
    queue.return_to(then)
    queue.memory.write(queue.descriptors, memory)
    assert queue.outstanding == 1
    Device(queue).give_back(first, 2)
    assert [used.descriptors[0] for used in queue.reap()] == [first]


def test_it_has_no_indices(queue: PackedVirtqueue) -> None:
    with pytest.raises(HarnessError, match="packed"):
        _ = queue.used_index
    with pytest.raises(HarnessError, match="packed"):
        _ = queue.avail_event
