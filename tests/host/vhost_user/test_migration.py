"""The log of written pages, and the transfer of state: what live migration and snapshots ask of a back end."""

from __future__ import annotations

import mmap
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from harness.deadline import PACE
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.features import ProtocolFeature, VirtioFeature
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.offer import Offer
from harness.host.vhost_user.payloads import U64, LogArea, StateTransfer, VringAddress

from .driver import Memory
from .frontend import FrontEnd

PAGE = 4096


@pytest.fixture
def migratable(
    offering: Callable[[Offer], Backend], connect: Callable[[], FrontEnd]
) -> tuple[Backend, FrontEnd]:
    backend = offering(
        Offer().plus(VirtioFeature.VHOST_LOG_ALL, ProtocolFeature.LOG_SHMFD, ProtocolFeature.DEVICE_STATE)
    )
    front = connect()
    front.negotiate(features=Offer().features)
    front.share_memory()
    for ring in front.rings:
        front.start_ring(ring.index)
    front.set_pairs(1)
    front.rings[0].post(4)
    return backend, front


@pytest.fixture
def bitmap() -> Iterator[Memory]:
    """A log that covers the guest's memory, one bit a page."""
    memory = Memory(0x1_0000)
    yield memory
    memory.close()


def dirty(bitmap: Memory) -> set[int]:
    """Guest pages that are marked."""
    data = bytes(bitmap.map)
    return {8 * byte + bit for byte, value in enumerate(data) for bit in range(8) if value >> bit & 1}


def start_log(front: FrontEnd, bitmap: Memory) -> None:
    area = LogArea(bitmap.description.size, 0)
    front.send(Kind.SET_LOG_BASE, area, [bitmap.fd])
    assert front.receive().body == area.encode()
    front.tell(Kind.SET_FEATURES, U64(front.features | 1 << 26))


def test_written_pages_are_marked_while_a_migration_runs(
    migratable: tuple[Backend, FrontEnd], bitmap: Memory
) -> None:
    backend, front = migratable
    backend.inject(0, [b"x" * 60])
    start_log(front, bitmap)
    assert dirty(bitmap) == set()
    backend.inject(0, [b"x" * 60])
    ring = front.rings[0]
    assert dirty(bitmap) == {ring.guest(ring.buffers + 2048) // PAGE}


def test_the_used_ring_is_marked_where_its_flag_says_so(
    migratable: tuple[Backend, FrontEnd], bitmap: Memory
) -> None:
    backend, front = migratable
    start_log(front, bitmap)
    ring = front.rings[1]
    used = ring.guest(ring.base + 0x2000)
    front.tell(Kind.SET_VRING_ADDR, replace(ring.address, flags=VringAddress.LOG, log=used))
    ring.send(b"x" * 60)
    backend.wait("the frame", lambda b: b.captured(1), within=2)
    assert dirty(bitmap) == {used // PAGE}


def test_marking_ends_with_the_feature(migratable: tuple[Backend, FrontEnd], bitmap: Memory) -> None:
    backend, front = migratable
    start_log(front, bitmap)
    front.tell(Kind.SET_FEATURES, U64(front.features))
    backend.inject(0, [b"x" * 60])
    assert dirty(bitmap) == set()


def test_a_new_log_replaces_the_old(migratable: tuple[Backend, FrontEnd], bitmap: Memory) -> None:
    backend, front = migratable
    start_log(front, bitmap)
    fresh = Memory(mmap.PAGESIZE * 16)
    start_log(front, fresh)
    backend.inject(0, [b"x" * 60])
    assert (len(dirty(bitmap)), len(dirty(fresh))) == (0, 1)
    fresh.close()


def transfer(front: FrontEnd, direction: int) -> socket.socket:
    """Start a transfer; our end of its channel."""
    ours, theirs = socket.socketpair()
    front.send(Kind.SET_DEVICE_STATE_FD, StateTransfer(direction, 0), [theirs.fileno()])
    assert U64.decode(front.receive().body).number == 0x100
    theirs.close()
    return ours


def load(front: FrontEnd, state: bytes) -> int:
    """Load a state; what CHECK_DEVICE_STATE says, 0 being success."""
    with transfer(front, StateTransfer.LOAD) as channel:
        channel.sendall(state)
    return front.ask(Kind.CHECK_DEVICE_STATE)


def test_a_saved_state_can_be_loaded_and_another_cannot(migratable: tuple[Backend, FrontEnd]) -> None:
    backend, front = migratable
    with transfer(front, StateTransfer.SAVE) as channel:
        channel.settimeout(2 * PACE)
        state = b"".join(iter(lambda: channel.recv(4096), b""))
    assert front.ask(Kind.CHECK_DEVICE_STATE) == 0
    assert load(front, state) == 0
    assert load(front, state[:-1]) == 1
    assert backend.enabled_pairs() == 1


def test_a_load_that_is_not_finished_fails_its_check(migratable: tuple[Backend, FrontEnd]) -> None:
    _, front = migratable
    with transfer(front, StateTransfer.LOAD):
        assert front.ask(Kind.CHECK_DEVICE_STATE) == 1


def test_a_transfer_that_is_never_checked_leaves_nothing(migratable: tuple[Backend, FrontEnd]) -> None:
    _, front = migratable
    transfer(front, StateTransfer.LOAD).close()
