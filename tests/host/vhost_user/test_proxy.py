from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import BadInput, DeadlineExceeded
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.endpoints import Connect, Listen
from harness.host.vhost_user.faults import Refuse
from harness.host.vhost_user.log import Event, Sender
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.proxy import Proxy
from harness.host.vhost_user.rules import Drop, Late, Swap
from harness.host.vhost_user.wire import request

from .frontend import FrontEnd


@pytest.fixture
def inner(folder: Path) -> Iterator[Backend]:
    """The back end behind the proxy."""
    with Backend(Listen(folder / "inner.sock")) as backend:
        yield backend


@pytest.fixture
def proxy(path: Path, inner: Backend) -> Iterator[Proxy]:
    with Proxy(Listen(path), Connect(inner.endpoint.path)) as running:
        yield running


@pytest.fixture
def through(proxy: Proxy, connect: Callable[[], FrontEnd]) -> FrontEnd:
    """A front end that reaches the back end through the proxy, rings started."""
    front = connect()
    front.set_up()
    return front


def test_frames_and_states_pass_unaltered(inner: Backend, through: FrontEnd) -> None:
    through.set_pairs(2)
    assert inner.enabled_pairs() == 2
    through.rings[2].post(1)
    inner.inject(2, [b"x" * 60])
    assert through.rings[2].received() == [b"x" * 60]
    through.rings[3].send(b"y" * 60)
    inner.wait("the frame", lambda b: [each.frame for each in b.captured(3)] == [b"y" * 60], within=2)
    assert through.stop_ring(3) == 1


def test_both_directions_are_recorded_in_order(proxy: Proxy, inner: Backend, through: FrontEnd) -> None:
    mark = proxy.mark()
    through.enable(5)
    through.stop_ring(5)
    said = [(e.sender, e.kind, e.ring, e.value) for e in proxy.log.entries(since=mark)]
    assert said == [
        (Sender.VMM, Kind.SET_VRING_ENABLE, 5, 1),
        (Sender.BACKEND, Kind.SET_VRING_ENABLE, None, 0),
        (Sender.VMM, Kind.GET_VRING_BASE, 5, 0),
        (Sender.BACKEND, Kind.GET_VRING_BASE, 5, 0),
    ]
    assert proxy.log.entries(Kind.SET_VRING_ENABLE)[0].reply == 0


def test_both_logs_agree(proxy: Proxy, inner: Backend, through: FrontEnd) -> None:
    through.set_pairs(3)
    seen = [(e.kind, e.args) for e in proxy.log if e.sender is Sender.VMM and e.kind is not Event.CONNECTED]
    assert seen == [(e.kind, e.args) for e in inner.log if e.kind is not Event.CONNECTED]
    assert proxy.log.enables() == inner.enables()


def test_a_refusal_reaches_the_vmm(proxy: Proxy, inner: Backend, through: FrontEnd) -> None:
    inner.arm(Refuse(Kind.SET_VRING_ENABLE, ring=1))
    assert [through.enable(0), through.enable(1)] == [0, 1]
    assert proxy.log.entries(Kind.SET_VRING_ENABLE, ring=1)[0].reply == 1


def test_messages_that_make_no_sense_pass_too(proxy: Proxy, inner: Backend, through: FrontEnd) -> None:
    through.send_raw(request(Kind.SET_VRING_ENABLE, b"\0" * 4))
    assert through.tell(99) == 1
    assert len(inner.take_findings()) == 2
    assert proxy.log.entries(99)[0].sender is Sender.VMM


def test_either_side_may_go_and_come_back(
    proxy: Proxy, inner: Backend, through: FrontEnd, connect: Callable[[], FrontEnd]
) -> None:
    through.close()
    proxy.wait("the loss", lambda p: p.log.entries(Event.LOST), within=2)
    second = connect()
    second.set_up()
    inner.disconnect()
    with pytest.raises(ConnectionError):
        second.enable(0)
    third = connect()
    third.set_up()
    assert third.enable(0) == 0
    assert proxy.connections == 3


def test_the_vmm_may_come_before_the_back_end(
    folder: Path, path: Path, connect: Callable[[], FrontEnd]
) -> None:
    with Proxy(Listen(path), Connect(folder / "late.sock")) as proxy:
        front = connect()
        front.send(Kind.GET_FEATURES)
        with pytest.raises(DeadlineExceeded, match="back end No such file or directory"):
            proxy.wait("both sides", lambda p: p.connected, within=0.05)
        with Backend(Listen(folder / "late.sock")) as backend:
            assert front.receive().kind == Kind.GET_FEATURES
            assert backend.connections == 1


@pytest.fixture
def listening_vmm(folder: Path) -> Iterator[Listen]:
    """The socket of a VMM in server mode."""
    listener = Listen(folder / "vmm.sock")
    listener.open()
    yield listener
    listener.close()


def test_a_back_end_that_connects_meets_a_vmm_that_listens(folder: Path, listening_vmm: Listen) -> None:
    middle = Listen(folder / "middle.sock")
    with Proxy(Connect(listening_vmm.path), middle) as proxy, Backend(Connect(middle.path)) as backend:
        proxy.wait("both sides", lambda p: p.connected, within=2)
        sock = listening_vmm.attempt()
        assert sock is not None
        front = FrontEnd(sock)
        front.set_up()
        front.set_pairs(1)
        assert backend.enabled_pairs() == 1
        front.close()


def test_a_taken_path_is_bad_input(path: Path, inner: Backend) -> None:
    with pytest.raises(BadInput, match="another program listens"):
        Proxy(Listen(inner.endpoint.path), Connect(path))
    with pytest.raises(BadInput, match="does not exist"):
        Proxy(Listen(path), Connect(path / "no" / "folder"))
    inner.wait("the trial to be over", lambda b: not b.connected, within=2)


@pytest.mark.parametrize("rule", [Late(Kind.SET_VRING_KICK, delay=60), Swap(Kind.SET_VRING_KICK)])
def test_messages_kept_back_leave_nothing(
    path: Path, inner: Backend, connect: Callable[[], FrontEnd], rule: Late | Swap
) -> None:
    with Proxy(Listen(path), Connect(inner.endpoint.path), [rule]):
        front = connect()
        front.negotiate()
        front.share_memory()
        assert front.start_ring(0) == 0
        assert (inner.started_rings(), rule.struck) == (frozenset(), 1)


def test_a_dropped_message_closes_its_descriptors(
    path: Path, inner: Backend, connect: Callable[[], FrontEnd]
) -> None:
    with Proxy(Listen(path), Connect(inner.endpoint.path), [Drop(Kind.SET_VRING_KICK, ring=1)]):
        connect().set_up()
        assert inner.started_rings() == set(range(8)) - {1}


def test_swapped_messages_bring_their_descriptors(
    path: Path, inner: Backend, connect: Callable[[], FrontEnd]
) -> None:
    with Proxy(Listen(path), Connect(inner.endpoint.path), [Swap(Kind.SET_VRING_KICK)]):
        front = connect()
        front.set_up()
        front.enable(6)
        assert inner.started_rings() == set(range(8))
        assert [e.ring for e in inner.log.entries(Kind.SET_VRING_KICK)] == [1, 0, 3, 2, 5, 4, 7, 6]
