from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.errors import DeadlineExceeded
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.endpoints import Connect, Listen
from harness.host.vhost_user.log import Event
from harness.host.vhost_user.offer import Offer

from .frontend import FrontEnd


def lost(backend: Backend) -> bool:
    return not backend.connected


@pytest.fixture
def listening_vmm(path: Path) -> Iterator[Callable[[], FrontEnd]]:
    """Lets a front end listen, as a VMM in server mode does: it binds anew for each connection."""
    with ExitStack() as stack:

        def accept() -> FrontEnd:
            path.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
                listener.listen()
                front = FrontEnd.accept(listener)
            stack.callback(front.close)
            return front

        yield accept
    path.unlink(missing_ok=True)


@pytest.fixture
def client(path: Path) -> Iterator[Backend]:
    with Backend(Connect(path)) as backend:
        yield backend


def test_a_vmm_that_comes_back_finds_stopped_and_disabled_rings(
    backend: Backend, running: FrontEnd, connect: Callable[[], FrontEnd]
) -> None:
    running.set_pairs(3)
    running.socket.close()
    backend.wait("the loss", lost, within=2)
    assert (backend.enabled_pairs(), backend.started_rings()) == (3, frozenset())
    again = connect()
    again.negotiate()
    assert (backend.connections, backend.enabled_pairs()) == (2, 0)
    again.share_memory()
    again.start_ring(0)
    assert backend.started_rings() == {0}


def test_the_back_end_can_drop_the_connection(
    backend: Backend, running: FrontEnd, connect: Callable[[], FrontEnd]
) -> None:
    backend.disconnect()
    with pytest.raises(ConnectionError):
        running.enable(0)
    connect().negotiate()
    assert backend.connections == 2
    assert [each.kind for each in backend.log if isinstance(each.kind, Event)] == [
        Event.CONNECTED,
        Event.LOST,
        Event.CONNECTED,
    ]


def test_a_second_vmm_waits_until_the_first_is_gone(
    backend: Backend, running: FrontEnd, connect: Callable[[], FrontEnd]
) -> None:
    second = connect()
    running.enable(0)
    assert backend.connections == 1
    running.socket.close()
    second.negotiate()
    assert backend.connections == 2


def test_counters_and_captured_frames_outlast_a_connection(
    backend: Backend, running: FrontEnd, connect: Callable[[], FrontEnd]
) -> None:
    running.enable(1)
    running.rings[1].send(b"x" * 60)
    backend.wait("a frame", lambda b: b.captured(1), within=2)
    running.socket.close()
    connect().negotiate()
    assert (len(backend.captured(1)), backend.ring(1).counters.transmitted) == (1, 1)


def test_as_a_client_it_connects_once_the_vmm_listens(
    client: Backend, listening_vmm: Callable[[], FrontEnd]
) -> None:
    with pytest.raises(DeadlineExceeded, match="No such file or directory"):
        client.wait_connected(within=0.05)
    front = listening_vmm()
    front.set_up()
    front.set_pairs(2)
    assert client.enabled_pairs() == 2


def test_as_a_client_it_connects_again(client: Backend, listening_vmm: Callable[[], FrontEnd]) -> None:
    listening_vmm().set_up()
    client.disconnect()
    again = listening_vmm()
    again.set_up()
    again.set_pairs(4)
    assert (client.connections, client.enabled_pairs()) == (2, 4)


def captured(count: int) -> Callable[[Backend], bool]:
    return lambda backend: len(backend.captured(3)) == count


def test_many_restarts_keep_working(backend: Backend, connect: Callable[[], FrontEnd]) -> None:
    for round_number in range(1, 51):
        front = connect()
        front.set_up()
        front.set_pairs(2)
        front.rings[3].send(b"x" * 60)
        backend.wait("its frame", captured(round_number), within=2)
        backend.disconnect()
    assert backend.connections == 50


def post_and_reconnect(front: FrontEnd, again: FrontEnd) -> FrontEnd:
    """Buffers posted on one connection, the base on the next set behind them, as cloud-hypervisor does."""
    front.rings[0].post(4)
    again.memory, again.rings = front.memory, front.rings
    again.negotiate()
    again.share_memory()
    again.start_ring(0, base=4)
    again.enable(0)
    return again


@pytest.mark.parametrize(("resume_at_used", "fitted"), [(False, 0), (True, 4)])
def test_buffers_posted_before_the_base_are_served_only_if_asked_for(
    path: Path, resume_at_used: bool, fitted: int
) -> None:
    with Backend(Listen(path), Offer(resume_at_used=resume_at_used)) as backend:
        first, second = FrontEnd.connect(path), FrontEnd.connect(path)
        own = second.memory, second.rings
        first.set_up()
        backend.disconnect()
        post_and_reconnect(first, second)
        assert backend.inject(0, [b"x" * 60] * 5) == fitted
        second.memory, second.rings = own
        first.close()
        second.close()
