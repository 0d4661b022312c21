"""Whatever a VMM or a guest sends, the back end says what was wrong and goes on."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import VmmError
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.datapath import RingRefused
from harness.host.vhost_user.endpoints import Listen
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.payloads import Empty, Payload, VringAddress, VringFile, VringState
from harness.host.vhost_user.wire import HEADER, Message, request

from .driver import NEXT, SIZE, WRITE
from .frontend import FrontEnd


def only_finding(backend: Backend) -> str:
    (finding,) = backend.take_findings()
    return finding.text


def still_works(front: FrontEnd) -> bool:
    return front.enable(0) == 0


MISUSES: list[tuple[Kind, Payload, str]] = [
    (Kind.SET_VRING_NUM, VringState(0, 0), "SET_VRING_NUM of 0, which is no power of two"),
    (Kind.SET_VRING_NUM, VringState(0, 100), "SET_VRING_NUM of 100, which is no power of two"),
    (Kind.SET_VRING_NUM, VringState(0, 65536), "SET_VRING_NUM of 65536"),
    (Kind.SET_VRING_ENABLE, VringState(8, 1), "SET_VRING_ENABLE for vring 8 where the back end has 8"),
    (Kind.SET_VRING_ENABLE, VringState(0, 2), "SET_VRING_ENABLE of 2 for vring 0"),
    (Kind.SET_VRING_KICK, VringFile(0, absent=True), "which asks for polling"),
    (Kind.SET_VRING_KICK, VringFile(0), "SET_VRING_KICK with 0 file descriptors where one belongs"),
    (Kind.SET_VRING_CALL, VringFile(0), "SET_VRING_CALL with 0 file descriptors where one belongs"),
    (
        Kind.SET_VRING_ADDR,
        VringAddress(0, 0, 1, 2, 3, 0),
        "the VMM left the started vring 0 at the user address 0x1",
    ),
    (Kind.RESET_DEVICE, Empty(), "RESET_DEVICE without having negotiated the protocol feature RESET_DEVICE"),
    (Kind.GPU_SET_SOCKET, Empty(), "GPU_SET_SOCKET, which this back end does not serve"),
]


@pytest.mark.parametrize(("kind", "payload", "text"), MISUSES, ids=lambda value: getattr(value, "name", None))
def test_misuse_is_a_finding(
    backend: Backend, running: FrontEnd, kind: Kind, payload: Payload, text: str
) -> None:
    running.tell(kind, payload)
    assert text in only_finding(backend)
    assert still_works(running)


def test_misuse_is_refused_where_an_answer_is_wanted(backend: Backend, running: FrontEnd) -> None:
    assert running.enable(8) == 1
    assert "vring 8" in only_finding(backend)


def test_an_unknown_kind_is_a_finding(backend: Backend, running: FrontEnd) -> None:
    assert running.tell(99) == 1
    assert only_finding(backend) == "the VMM sent a message of the unknown kind 99"
    assert backend.log.entries(99)[0].name == "#99"
    assert still_works(running)


def test_a_short_body_is_a_finding(backend: Backend, running: FrontEnd) -> None:
    running.send_raw(request(Kind.SET_VRING_ENABLE, b"\0" * 4))
    assert still_works(running)
    assert only_finding(backend) == "the VMM sent SET_VRING_ENABLE with a body of 4 bytes where 8 belong"


def test_a_question_that_cannot_be_answered_closes_the_connection(
    backend: Backend, running: FrontEnd
) -> None:
    running.send_raw(request(Kind.GET_VRING_BASE, b""))
    with pytest.raises(ConnectionError):
        running.receive()
    assert "GET_VRING_BASE with a body of 0 bytes" in only_finding(backend)


def test_flags_that_no_request_has_are_a_finding(backend: Backend, running: FrontEnd) -> None:
    running.send_raw(Message(Kind.SET_OWNER, 0x2))
    running.send_raw(Message(Kind.SET_OWNER, 0x5))
    assert still_works(running)
    assert [each.text for each in backend.take_findings()] == [
        "the VMM sent a message with the flags 0x2, which no request has",
        "the VMM sent a message with the flags 0x5, which no request has",
    ]


def test_an_endless_body_closes_the_connection(
    backend: Backend, running: FrontEnd, connect: Callable[[], FrontEnd]
) -> None:
    running.socket.sendall(HEADER.pack(Kind.SET_OWNER, 1, 0x7FFF_FFFF))
    with pytest.raises(ConnectionError):
        running.receive()
    assert "a header that announces a body of 2147483647 bytes" in only_finding(backend)
    connect().negotiate()


def test_asking_for_replies_without_reply_ack_is_a_finding(backend: Backend, front: FrontEnd) -> None:
    front.negotiate(protocol=0)
    front.send_raw(request(Kind.SET_OWNER, need_reply=True))
    front.ask(Kind.GET_FEATURES)
    assert "without having negotiated REPLY_ACK" in only_finding(backend)


def test_a_ring_outside_memory_does_not_start(backend: Backend, front: FrontEnd) -> None:
    front.negotiate()
    assert front.start_ring(0) == 1
    assert "outside memory, for there is none" in only_finding(backend)
    assert backend.started_rings() == set()


def test_a_kick_that_is_no_eventfd_is_a_finding(backend: Backend, running: FrontEnd) -> None:
    assert running.tell(Kind.SET_VRING_KICK, VringFile(0), [running.memory.fd]) == 1
    assert "no eventfd" in only_finding(backend)


def test_descriptors_that_nobody_asked_for_are_closed(backend: Backend, running: FrontEnd) -> None:
    assert running.tell(Kind.SET_OWNER, fds=[running.memory.fd] * 3) == 0
    assert backend.log.entries(Kind.SET_OWNER)[-1].fds == 3


def test_a_memory_table_without_descriptors_is_a_finding(backend: Backend, running: FrontEnd) -> None:
    body = struct.pack("=IIQQQQ", 1, 0, 0, 4096, 0, 0)
    running.send_raw(request(Kind.SET_MEM_TABLE, body))
    assert still_works(running)
    assert "SET_MEM_TABLE of 1 regions with 0 file descriptors" in only_finding(backend)
    assert len(backend.memory_regions) == 1


def broken(backend: Backend, ring: int) -> str:
    """Wait for a ring to be given up; the finding."""
    backend.wait(f"ring {ring} to break", lambda b: b.ring(ring).broken, within=2)
    return only_finding(backend)


def test_a_transmit_buffer_outside_memory_is_a_finding(backend: Backend, running: FrontEnd) -> None:
    running.enable(1)
    ring = running.rings[1]
    ring.send(b"x" * 60)
    ring.describe(1, 0x10, 72, 0)
    ring.offer(1)
    ring.kick()
    assert "the guest's vring 1 has the guest address 0x10+0x48, outside the regions" in broken(backend, 1)
    assert backend.ring(1).counters.transmitted == 1


def test_a_chain_that_loops_is_a_finding(backend: Backend, running: FrontEnd) -> None:
    ring = running.rings[1]
    ring.describe(0, ring.guest(ring.buffers), 72, NEXT, 0)
    ring.offer(0)
    ring.kick()
    assert "a chain that loops" in broken(backend, 1)


def test_a_chain_that_leaves_the_table_is_a_finding(backend: Backend, running: FrontEnd) -> None:
    ring = running.rings[1]
    ring.describe(0, ring.guest(ring.buffers), 72, NEXT, SIZE)
    ring.offer(0)
    ring.kick()
    assert f"points to descriptor {SIZE} of {SIZE}" in broken(backend, 1)


def test_a_head_outside_the_table_is_a_finding(backend: Backend, running: FrontEnd) -> None:
    running.rings[1].offer(SIZE)
    running.rings[1].kick()
    assert f"the chain head {SIZE}" in broken(backend, 1)


def test_an_available_index_that_runs_ahead_is_a_finding(backend: Backend, running: FrontEnd) -> None:
    running.rings[1].set_available(SIZE + 1)
    running.rings[1].kick()
    assert f"{SIZE + 1} chains available where {SIZE} fit" in broken(backend, 1)


@pytest.mark.parametrize("length", [0, 12, 40])
def test_a_bad_indirect_table_is_a_finding(backend: Backend, running: FrontEnd, length: int) -> None:
    ring = running.rings[1]
    ring.describe(0, ring.guest(ring.buffers), length, 4)
    ring.offer(0)
    ring.kick()
    assert f"an indirect table of {length} bytes" in broken(backend, 1)


def test_a_transmit_chain_shorter_than_the_header_is_a_finding(backend: Backend, running: FrontEnd) -> None:
    ring = running.rings[1]
    ring.describe(0, ring.guest(ring.buffers), 11, 0)
    ring.offer(0)
    ring.kick()
    assert "shorter than the header of 12" in broken(backend, 1)


def test_buffers_of_the_wrong_direction_are_findings(backend: Backend, running: FrontEnd) -> None:
    running.set_pairs(1)
    ring = running.rings[1]
    ring.describe(0, ring.guest(ring.buffers), 72, WRITE)
    ring.offer(0)
    ring.kick()
    assert "a transmit buffer that the device is to write" in broken(backend, 1)
    running.rings[0].send(b"x" * 60)
    with pytest.raises(RingRefused, match="a receive buffer that the device may not write"):
        backend.inject(0, [b"x" * 60])
    assert "the guest's vring 0" in only_finding(backend)


def test_a_broken_ring_says_so_on_its_error_descriptor(backend: Backend, running: FrontEnd) -> None:
    error = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    running.tell(Kind.SET_VRING_ERR, VringFile(1), [error])
    running.rings[1].offer(SIZE)
    running.rings[1].kick()
    broken(backend, 1)
    assert os.eventfd_read(error) == 1
    os.close(error)


def test_a_broken_ring_can_be_set_up_anew(backend: Backend, running: FrontEnd) -> None:
    ring = running.rings[1]
    ring.offer(SIZE)
    ring.kick()
    broken(backend, 1)
    running.stop_ring(1)
    running.start_ring(1, base=1)
    running.enable(1)
    ring.send(b"x" * 60)
    backend.wait("a frame", lambda b: b.captured(1), within=2)


def misbehave(path: Path, end: Callable[[], object]) -> None:
    """A life of a back end in which the VMM does one thing wrong, and then `end` happens."""
    with Backend(Listen(path)) as backend:
        backend.check()
        front = FrontEnd.connect(path)
        front.set_up()
        front.enable(8)
        front.close()
        end()


def test_findings_that_nobody_takes_fail_the_context(path: Path) -> None:
    with pytest.raises(VmmError, match="vring 8"):
        misbehave(path, lambda: None)


def test_findings_do_not_hide_an_error_in_the_context(path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        misbehave(path, lambda: 1 // 0)
