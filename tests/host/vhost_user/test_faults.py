from __future__ import annotations

import pytest

from harness.errors import BadInput, DeadlineExceeded
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.faults import CloseOn, Delay, NeverAnswer, Refuse
from harness.host.vhost_user.log import Event
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.payloads import VringState

from .frontend import FrontEnd

ENABLE = Kind.SET_VRING_ENABLE


def test_refuse_the_third(backend: Backend, running: FrontEnd) -> None:
    fault = Refuse(ENABLE, nth=3)
    backend.arm(fault)
    assert [running.enable(ring) for ring in range(5)] == [0, 0, 1, 0, 0]
    assert backend.enabled_rings() == {0, 1, 3, 4}
    assert (fault.seen, fault.struck) == (5, 1)
    assert [each.fault is not None for each in backend.log.entries(ENABLE)] == [
        False,
        False,
        True,
        False,
        False,
    ]


def test_refuse_one_ring_and_one_value(backend: Backend, running: FrontEnd) -> None:
    backend.arm(Refuse(ENABLE, ring=2, value=0, answer=7))
    assert [running.enable(2), running.enable(2, False), running.enable(3, False)] == [0, 7, 0]
    assert backend.enabled_rings() == {2}


def test_a_disarmed_fault_strikes_no_more(backend: Backend, running: FrontEnd) -> None:
    fault = Refuse(ENABLE)
    backend.arm(fault)
    assert running.enable(0) == 1
    backend.disarm(fault)
    assert running.enable(0) == 0


def test_frames_move_while_a_message_is_delayed(backend: Backend, running: FrontEnd) -> None:
    running.enable(1)
    backend.arm(Delay(ENABLE, ring=3, delay=60))
    running.send(ENABLE, VringState(3, 1))
    backend.wait("the message", lambda b: b.log.entries(ENABLE, ring=3), within=2)
    running.rings[1].send(b"x" * 60)
    backend.wait("a frame meanwhile", lambda b: b.ring(1).counters.transmitted == 1, within=2)
    assert not backend.ring(3).enabled


def test_a_delayed_message_takes_effect_late(backend: Backend, running: FrontEnd) -> None:
    backend.arm(Delay(ENABLE, ring=3, delay=0.1))
    assert [running.enable(3), running.enable(4)] == [0, 0]
    assert backend.enabled_rings() == {3, 4}
    delayed, following = backend.log.entries(ENABLE)
    assert delayed.seconds is not None
    assert delayed.seconds >= 0.1
    assert following.time >= delayed.time + delayed.seconds


def test_a_vmm_that_dies_during_a_delay_is_noticed_at_once(backend: Backend, running: FrontEnd) -> None:
    backend.arm(Delay(ENABLE, delay=60))
    running.send(ENABLE, VringState(0, 1))
    backend.wait("the message", lambda b: b.log.entries(ENABLE), within=2)
    running.socket.close()
    backend.wait("the loss", lambda b: not b.connected, within=2)


def test_never_answer(backend: Backend, running: FrontEnd) -> None:
    backend.arm(NeverAnswer(ENABLE, ring=1))
    assert running.enable(0) == 0
    running.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        running.enable(1)
    assert backend.enabled_rings() == {0}
    assert backend.log.entries(ENABLE, ring=1)[0].reply is None


def test_a_get_can_go_unanswered(backend: Backend, running: FrontEnd) -> None:
    backend.arm(NeverAnswer(Kind.GET_VRING_BASE))
    running.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        running.stop_ring(0)
    assert backend.ring(0).started


def test_close_on(backend: Backend, running: FrontEnd) -> None:
    backend.arm(CloseOn(ENABLE, ring=4))
    assert running.enable(3) == 0
    with pytest.raises(ConnectionError):
        running.enable(4)
    lost = backend.log.entries(Event.LOST)
    assert len(lost) == 1
    assert "close on SET_VRING_ENABLE of vring 4" in str(lost[0].args)


@pytest.mark.parametrize("kind", [Kind.GET_FEATURES, Kind.GET_VRING_BASE, Kind.GET_QUEUE_NUM])
def test_a_message_with_a_reply_of_its_own_cannot_be_refused(kind: Kind) -> None:
    with pytest.raises(BadInput, match=f"{kind.name} has a reply of its own"):
        Refuse(kind)


def test_a_refusal_that_means_success_is_bad_input() -> None:
    with pytest.raises(BadInput, match="0 acknowledges success"):
        Refuse(ENABLE, answer=0)


def test_counting_from_zero_is_bad_input() -> None:
    with pytest.raises(BadInput, match="nth counts from 1"):
        CloseOn(ENABLE, nth=0)


def test_a_wait_in_vain_says_what_was_last_seen(backend: Backend, running: FrontEnd) -> None:
    running.enable(0)
    with pytest.raises(DeadlineExceeded) as caught:
        backend.wait_pairs(2, within=0.05)
    assert "for 2 enabled pairs" in str(caught.value)
    assert "enabled vrings [0]" in str(caught.value)
    assert "SET_VRING_ENABLE vring 0 = 0x1 -> 0x0" in str(caught.value)
