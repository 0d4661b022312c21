"""What is left when either side ends, at whatever point. The fixture `nothing_left` checks after every test."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.deadline import PACE
from harness.errors import HarnessError
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.datapath import Captured
from harness.host.vhost_user.endpoints import Connect, Listen
from harness.host.vhost_user.faults import Delay
from harness.host.vhost_user.log import Event
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.payloads import U64, VringState
from harness.host.vhost_user.wire import HEADER, request

from .frontend import FrontEnd, open_descriptors


def test_closing_leaves_nothing(path: Path, connect: Callable[[], FrontEnd]) -> None:
    before = open_descriptors()
    backend = Backend(Listen(path))
    front = connect()
    opened = open_descriptors()
    front.set_up()
    assert len(open_descriptors()) > len(opened) > len(before)
    backend.close()
    assert not path.exists()
    front.close()
    assert open_descriptors().keys() == before.keys()


class Watched(Listen):
    """Notes whether the VMM was still connected when the listener went."""

    front: FrontEnd
    connected: bool | None = None

    def close(self) -> None:
        if self.connected is None:
            self.connected = self.front.is_connected()
        super().close()


def test_the_listener_goes_before_the_connection(path: Path, connect: Callable[[], FrontEnd]) -> None:
    endpoint = Watched(path)
    with Backend(endpoint):
        endpoint.front = connect()
        endpoint.front.negotiate()
    assert endpoint.connected
    assert not endpoint.front.is_connected()


def test_closing_twice_is_closing_once(path: Path) -> None:
    with Backend(Listen(path)) as backend:
        backend.close()
    backend.close()


@pytest.mark.parametrize("endpoint", [Listen, Connect])
def test_closing_without_any_vmm(path: Path, endpoint: Callable[[Path], Listen | Connect]) -> None:
    Backend(endpoint(path)).close()


def test_closing_during_a_delay(path: Path, connect: Callable[[], FrontEnd]) -> None:
    with Backend(Listen(path), faults=[Delay(Kind.SET_VRING_KICK, delay=60)]) as backend:
        front = connect()
        front.negotiate()
        front.share_memory()
        front.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            front.start_ring(0)
        assert backend.log.entries(Kind.SET_VRING_KICK)[0].seconds is None


def test_a_closed_back_end_says_so(path: Path) -> None:
    with Backend(Listen(path)) as backend:
        pass
    with pytest.raises(HarnessError, match=r"vu\.sock was stopped"):
        backend.wait_connected(within=1)
    with pytest.raises(HarnessError, match="was stopped"):
        backend.inject(0, [b"x" * 60])


def fail(ring: int, captured: Captured) -> None:
    raise KeyError(ring)


def test_a_callback_that_fails_is_not_swallowed(path: Path, connect: Callable[[], FrontEnd]) -> None:
    backend = Backend(Listen(path), on_frame=fail)
    front = connect()
    front.set_up()
    front.enable(1)
    front.rings[1].send(b"x" * 60)
    with pytest.raises(HarnessError, match="failed: KeyError: 1"):
        backend.wait("a frame", lambda b: False, within=2)
    with pytest.raises(HarnessError, match="KeyError"):
        backend.check()
    backend.close()


HANDSHAKE = [
    request(Kind.SET_OWNER),
    request(Kind.GET_FEATURES),
    request(Kind.SET_PROTOCOL_FEATURES, U64(9).encode()),
    request(Kind.SET_FEATURES, U64(1 << 30).encode(), need_reply=True),
    request(Kind.SET_VRING_ENABLE, VringState(0, 1).encode(), need_reply=True),
    request(Kind.GET_VRING_BASE, VringState(0, 0).encode()),
]
STREAM = b"".join(HEADER.pack(m.kind, m.flags, len(m.body)) + m.body for m in HANDSHAKE)


def lost(count: int) -> Callable[[Backend], bool]:
    return lambda backend: len(backend.log.entries(Event.LOST)) == count


def test_a_vmm_may_die_at_any_byte(backend: Backend, connect: Callable[[], FrontEnd]) -> None:
    for length in range(len(STREAM) + 1):
        front = connect()
        front.socket.sendall(STREAM[:length])
        front.close()
        backend.wait(f"the loss after {length} bytes", lost(length + 1), within=2)
    connect().negotiate()
    assert backend.connections == len(STREAM) + 2


def test_what_was_said_before_the_end_is_recorded(backend: Backend, connect: Callable[[], FrontEnd]) -> None:
    for count, length in enumerate((len(STREAM), len(STREAM) - 1), 1):
        front = connect()
        front.socket.sendall(STREAM[:length])
        front.socket.shutdown(socket.SHUT_WR)
        backend.wait("the loss", lost(count), within=2)
    whole, cut = backend.log.entries(Event.LOST)
    assert (whole.args, cut.args) == ("closed", "closed in the middle of a message")
    assert len(backend.log.entries(Kind.GET_VRING_BASE)) == 1
    assert len(backend.log.entries(Kind.SET_VRING_ENABLE)) == 2


def test_a_killed_vmm_is_noticed(backend: Backend, path: Path) -> None:
    code = f"import socket, time; s = socket.socket(socket.AF_UNIX); s.connect({str(path)!r}); time.sleep(60)"
    vmm = subprocess.Popen([sys.executable, "-c", code])
    backend.wait_connected(within=5)
    vmm.kill()
    vmm.wait(5 * PACE)
    backend.wait("the loss", lambda b: not b.connected, within=2)


def test_a_vmm_that_reads_no_replies_is_dropped(backend: Backend, front: FrontEnd) -> None:
    front.negotiate()
    flood = HEADER.pack(Kind.GET_FEATURES, 1, 0) * 100
    with pytest.raises((ConnectionError, TimeoutError)):
        front.socket.sendall(flood * 1000)
    backend.wait("the loss", lost(1), within=2)
    assert "does not read" in str(backend.log.entries(Event.LOST)[0].args)
