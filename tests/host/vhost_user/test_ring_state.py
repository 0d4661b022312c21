from __future__ import annotations

import os
from collections.abc import Callable

from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.features import ProtocolFeature
from harness.host.vhost_user.log import EnableChange
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.offer import DEFAULT_FEATURES, Offer
from harness.host.vhost_user.payloads import VringFile, VringState

from .driver import SIZE
from .frontend import FrontEnd

ALL = frozenset(set(range(8)))


def test_rings_begin_stopped_and_disabled(backend: Backend, front: FrontEnd) -> None:
    front.negotiate()
    assert backend.started_rings() == set()
    assert backend.enabled_rings() == set()
    assert backend.enabled_pairs() == 0


def test_kick_starts_a_ring_and_leaves_it_disabled(backend: Backend, front: FrontEnd) -> None:
    front.negotiate()
    front.share_memory()
    front.start_ring(2)
    assert backend.started_rings() == {2}
    assert backend.enabled_rings() == set()


def test_a_stopped_ring_remembers_whether_it_is_enabled(backend: Backend, running: FrontEnd) -> None:
    running.enable(3)
    running.stop_ring(3)
    assert backend.started_rings() == ALL - {3}
    assert backend.enabled_rings() == {3}
    running.start_ring(3)
    assert (backend.ring(3).started, backend.ring(3).enabled) == (True, True)


def test_a_ring_can_be_enabled_before_it_is_started(backend: Backend, front: FrontEnd) -> None:
    front.negotiate()
    front.enable(0)
    assert (backend.ring(0).started, backend.ring(0).enabled) == (False, True)


def test_a_kick_that_comes_before_the_ring_is_described_starts_it_once_it_is_enabled(
    backend: Backend, front: FrontEnd
) -> None:
    """Of a second life too: what the ring was before is not gone on with."""
    front.negotiate()
    front.share_memory()
    ring = front.rings[2]
    for _ in range(2):
        assert front.tell(Kind.SET_VRING_KICK, VringFile(2), [ring.kick_fd]) == 0
        os.eventfd_write(ring.kick_fd, 1)  # the guest may be ahead of its VMM: that is nobody's fault
        assert backend.started_rings() == set()
        front.tell(Kind.SET_VRING_NUM, VringState(2, SIZE))
        front.tell(Kind.SET_VRING_ADDR, ring.address)
        assert front.enable(2) == 0
        assert backend.started_rings() == {2}
        front.enable(2, False)
        front.stop_ring(2)


def test_stopping_answers_the_next_available_entry(backend: Backend, running: FrontEnd) -> None:
    running.rings[1].send(b"a" * 60, b"b" * 60, b"c" * 60)
    backend.wait("three frames", lambda b: b.ring(1).counters.discarded == 3, within=2)
    assert running.stop_ring(1) == 3
    assert running.stop_ring(0) == 0


def test_without_protocol_features_all_rings_are_enabled_at_once(backend: Backend, front: FrontEnd) -> None:
    front.negotiate(features=DEFAULT_FEATURES & ~(1 << 30))
    assert backend.enabled_rings() == ALL
    assert backend.started_rings() == set()


def test_features_sent_again_leave_enabled_rings_alone(backend: Backend, running: FrontEnd) -> None:
    running.enable(0)
    running.negotiate()
    assert backend.enabled_rings() == {0}


def test_enables_are_kept_in_order_from_a_mark_on(backend: Backend, running: FrontEnd) -> None:
    running.set_pairs(4)
    mark = backend.mark()
    running.enable(6, False)
    running.enable(1)
    running.enable(6, False)
    assert backend.enables(mark) == [EnableChange(6, False), EnableChange(1, True), EnableChange(6, False)]
    assert len(backend.enables()) == 11


def test_enabled_pairs_is_none_for_a_pattern_that_is_no_number_of_pairs(
    backend: Backend, running: FrontEnd
) -> None:
    running.set_pairs(2)
    assert backend.enabled_pairs() == 2
    running.enable(4)
    assert backend.enabled_pairs() is None
    running.enable(5)
    assert backend.enabled_pairs() == 3
    running.enable(0, False)
    running.enable(1, False)
    assert backend.enabled_pairs() is None


def test_reset_owner_disables_and_does_not_stop(backend: Backend, running: FrontEnd) -> None:
    running.set_pairs(4)
    running.tell(Kind.RESET_OWNER)
    assert backend.enabled_pairs() == 0
    assert backend.started_rings() == ALL


def test_reset_device_disables_and_stops(
    offering: Callable[[Offer], Backend], connect: Callable[[], FrontEnd]
) -> None:
    backend = offering(Offer().plus(ProtocolFeature.RESET_DEVICE))
    front = connect()
    front.set_up()
    front.set_pairs(4)
    assert (backend.enabled_pairs(), backend.started_rings()) == (4, ALL)
    front.tell(Kind.RESET_DEVICE)
    assert (backend.enabled_pairs(), backend.started_rings()) == (0, frozenset())


def test_wait_pairs_returns_once_they_are_enabled(backend: Backend, running: FrontEnd) -> None:
    running.need_reply = False
    running.set_pairs(3)
    backend.wait_pairs(3, within=2)
    assert backend.enabled_rings() == set(range(6))
