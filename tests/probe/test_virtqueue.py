"""The driver's side of a split virtqueue, against a device side written from the specification."""

from __future__ import annotations

import pytest

from harness.errors import GuestError, HarnessError
from harness.guest.probe.virtqueue import Arena, Buffer, Virtqueue
from tests.probe.device_queue import DeviceQueue
from tests.probe.machine import Machine

SIZE = 8
OUT, IN = Buffer(0x200000, 10, False), Buffer(0x200100, 20, True)


@pytest.fixture
def arena(machine: Machine) -> Arena:
    return Arena(machine.memory, 1 << 20, 4 << 20)


@pytest.fixture
def queue(arena: Arena) -> Virtqueue:
    return Virtqueue(arena, 5, SIZE)


@pytest.fixture
def far_side(queue: Virtqueue) -> DeviceQueue:
    return DeviceQueue(queue.memory, SIZE, queue.descriptors, queue.available, queue.used)


def test_nothing_is_seen_before_it_is_published(queue: Virtqueue, far_side: DeviceQueue) -> None:
    queue.add([OUT])
    assert far_side.take() is None
    queue.publish()
    assert far_side.take() is not None


def test_device_sees_the_chain_as_it_was_given(queue: Virtqueue, far_side: DeviceQueue) -> None:
    head = queue.add([OUT, OUT, IN])
    queue.publish()
    chain = far_side.take()
    assert chain is not None
    assert chain.head == head
    assert (chain.readable, chain.writable) == (((0x200000, 10),) * 2, ((0x200100, 20),))


def test_used_chains_come_in_the_devices_order(queue: Virtqueue, far_side: DeviceQueue) -> None:
    heads = [queue.add([IN]) for _ in range(3)]
    queue.publish()
    for head in reversed(heads):
        far_side.give_back(head, head + 1)
    done = queue.reap()
    assert [used.descriptors[0] for used in done] == heads[::-1]
    assert [used.written for used in done] == [head + 1 for head in heads[::-1]]
    assert queue.outstanding == 0
    assert queue.reap() == []


def test_full_queue_is_an_error_until_descriptors_are_released(
    queue: Virtqueue, far_side: DeviceQueue
) -> None:
    heads = [queue.add([IN, IN]) for _ in range(SIZE // 2)]
    with pytest.raises(GuestError, match="virtqueue 5 is full: 4 chains"):
        queue.add([IN])
    far_side.give_back(heads[1], 0)
    (used,) = queue.reap()
    with pytest.raises(GuestError, match="full"):  # a reaped chain still owns its descriptors
        queue.add([IN])
    queue.release(used)
    assert queue.add([IN, IN]) in used.descriptors


def test_recycled_chain_is_offered_again_unchanged(queue: Virtqueue, far_side: DeviceQueue) -> None:
    queue.add([OUT, IN])
    queue.publish()
    first = far_side.take()
    assert first is not None
    far_side.give_back(first.head, 7)
    queue.recycle(queue.reap()[0])
    queue.publish()
    assert far_side.take() == first


def test_rings_wrap_over_65536(queue: Virtqueue, far_side: DeviceQueue) -> None:
    for _ in range(SIZE):
        queue.add([IN])
    for turn in range(65536 // SIZE + 2):
        queue.publish()
        for _ in range(SIZE):
            chain = far_side.take()
            assert chain is not None, turn
            far_side.give_back(chain.head, turn)
        done = queue.reap()
        assert [used.written for used in done] == [turn] * SIZE
        for used in done:
            queue.recycle(used)
    assert queue.used_index == 2 * SIZE


def test_buffer_used_twice_is_an_error(queue: Virtqueue, far_side: DeviceQueue) -> None:
    head = queue.add([IN])
    queue.publish()
    far_side.give_back(head, 1)
    assert len(queue.reap()) == 1
    far_side.give_back(head, 1)
    with pytest.raises(GuestError, match=rf"descriptor {head} on virtqueue 5 at used index 1"):
        queue.reap()


@pytest.mark.parametrize("head", [3, SIZE, 0xFFFFFFFF])
def test_buffer_that_was_never_given_is_an_error(queue: Virtqueue, far_side: DeviceQueue, head: int) -> None:
    queue.add([IN])
    queue.publish()
    far_side.give_back(head, 1)
    with pytest.raises(GuestError, match=f"returned descriptor {head} on virtqueue 5"):
        queue.reap()


def test_interrupts_are_declined(queue: Virtqueue) -> None:
    assert queue.memory.get16(queue.available) == 1


def test_arena_aligns_and_does_not_overlap(arena: Arena) -> None:
    first, second = arena.take(100, 4096), arena.take(1, 64)
    assert first % 4096 == 0
    assert second % 64 == 0
    assert second >= first + 100


def test_full_arena_says_so(arena: Arena) -> None:
    arena.take(2 << 20)
    with pytest.raises(HarnessError, match="memory is full: 1048577 more bytes do not fit into its 3072 KiB"):
        arena.take((1 << 20) + 1)


def test_cleared_arena_hands_out_the_same_memory(arena: Arena) -> None:
    address = arena.take(16)
    arena.clear()
    assert arena.take(16) == address


def test_new_queue_holds_nothing_of_an_earlier_one(arena: Arena) -> None:
    earlier = Virtqueue(arena, 0, 8)
    earlier.add([Buffer(0x1000, 64, True)])
    earlier.publish()
    arena.clear()
    fresh = Virtqueue(arena, 0, 8)
    assert fresh.available == earlier.available
    assert arena.memory.get16(fresh.available + 2) == 0
    assert fresh.used_index == 0


def test_content_of_an_arena_is_what_was_handed_out(arena: Arena) -> None:
    assert arena.content() == b""
    arena.memory.write(arena.take(3), b"abc")
    assert arena.content() == b"abc"
