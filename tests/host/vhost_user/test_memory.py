from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.features import ProtocolFeature
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.offer import Offer
from harness.host.vhost_user.payloads import MemoryTable, RegionDescription, SingleRegion

from .driver import WRITE, Memory
from .frontend import FrontEnd


@pytest.fixture
def extra() -> Iterator[Memory]:
    """A second region, as after a memory hot plug."""
    memory = Memory(0x10_0000, guest=0x8000_0000, user=0x7E00_0000_0000)
    yield memory
    memory.close()


@pytest.fixture
def slots(offering: Callable[[Offer], Backend]) -> Backend:
    return offering(Offer().plus(ProtocolFeature.CONFIGURE_MEM_SLOTS))


@pytest.fixture
def plugged(slots: Backend, connect: Callable[[], FrontEnd]) -> FrontEnd:
    """A running front end that announces memory region by region."""
    front = connect()
    front.negotiate()
    assert add(front, front.memory) == 0
    for ring in front.rings:
        front.start_ring(ring.index)
    front.set_pairs(4)
    return front


def add(front: FrontEnd, memory: Memory) -> int | None:
    return front.tell(Kind.ADD_MEM_REG, SingleRegion(memory.description), [memory.fd])


def remove(front: FrontEnd, memory: Memory) -> int | None:
    return front.tell(Kind.REM_MEM_REG, SingleRegion(memory.description))


def post_in(front: FrontEnd, memory: Memory) -> None:
    """Offer ring 0 one buffer in the given region."""
    ring = front.rings[0]
    ring.describe(ring.available % 64, memory.description.guest, 2048, WRITE)
    ring.offer(ring.available % 64)


def test_a_new_table_reaches_running_rings(backend: Backend, running: FrontEnd, extra: Memory) -> None:
    running.enable(0)
    table = MemoryTable((running.memory.description, extra.description))
    assert running.tell(Kind.SET_MEM_TABLE, table, [running.memory.fd, extra.fd]) == 0
    running.rings[0].post(1)
    post_in(running, extra)
    assert backend.inject(0, [b"a" * 60, b"b" * 60]) == 2
    assert extra.map[12:72] == b"b" * 60
    assert running.rings[0].returned() == [(0, 72), (1, 72)]


def test_a_region_can_be_added_and_removed(slots: Backend, plugged: FrontEnd, extra: Memory) -> None:
    assert add(plugged, extra) == 0
    assert slots.memory_regions[1:] == (extra.description,)
    post_in(plugged, extra)
    slots.inject(0, [b"x" * 60])
    assert extra.map[12:72] == b"x" * 60
    assert remove(plugged, extra) == 0
    assert slots.memory_regions[1:] == ()
    plugged.rings[1].send(b"y" * 60)
    slots.wait("a frame", lambda b: b.captured(1), within=2)


def test_the_same_region_can_be_announced_again(slots: Backend, plugged: FrontEnd) -> None:
    assert [add(plugged, plugged.memory) for _ in range(3)] == [0, 0, 0]
    assert slots.memory_regions == (plugged.memory.description,)
    plugged.rings[1].send(b"y" * 60)
    slots.wait("a frame", lambda b: b.captured(1), within=2)


def test_the_number_of_slots_is_told(slots: Backend, plugged: FrontEnd) -> None:
    assert plugged.ask(Kind.GET_MAX_MEM_SLOTS) == 32


def test_removing_a_region_that_is_not_there_is_a_finding(
    slots: Backend, plugged: FrontEnd, extra: Memory
) -> None:
    assert remove(plugged, extra) == 1
    assert "was never added" in slots.take_findings()[0].text


def test_overlapping_regions_are_a_finding(slots: Backend, plugged: FrontEnd, extra: Memory) -> None:
    known = plugged.memory.description
    extra.description = RegionDescription(known.guest + 0x1000, 0x1000, 0x7E00_0000_0000, 0)
    assert add(plugged, extra) == 1
    assert "overlaps" in slots.take_findings()[0].text
    assert slots.memory_regions == (known,)


def test_a_region_larger_than_its_file_is_a_finding(slots: Backend, plugged: FrontEnd, extra: Memory) -> None:
    extra.description = RegionDescription(0x8000_0000, 0x10_1000, 0x7E00_0000_0000, 0)
    assert add(plugged, extra) == 1
    assert "in a file of 0x100000 bytes" in slots.take_findings()[0].text


def test_taking_away_the_memory_under_a_ring_is_a_finding(slots: Backend, plugged: FrontEnd) -> None:
    remove(plugged, plugged.memory)
    texts = [each.text for each in slots.take_findings()]
    assert len(texts) == 8
    assert "the VMM left the started vring 0 at the user address" in texts[0]
    assert slots.ring(0).broken is not None


def test_an_offset_in_the_file_is_honoured(backend: Backend, front: FrontEnd) -> None:
    whole = front.memory.description
    front.negotiate()
    part = RegionDescription(whole.guest + 0x800, whole.size - 0x800, whole.user + 0x800, 0x800)
    assert front.tell(Kind.SET_MEM_TABLE, MemoryTable((part,)), [front.memory.fd]) == 0
    front.start_ring(2)
    front.enable(2)
    front.rings[2].post(1)
    assert backend.inject(2, [b"x" * 60]) == 1
    assert front.rings[2].received() == [b"x" * 60]
