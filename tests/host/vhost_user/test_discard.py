from __future__ import annotations

import pytest

from harness.host.vhost_user.backend import Backend

from .frontend import FrontEnd

FRAMES = [b"a" * 60, b"b" * 60, b"c" * 60]


@pytest.fixture
def sender(running: FrontEnd) -> FrontEnd:
    """Pair 0 enabled, the others started but disabled."""
    running.set_pairs(1)
    return running


def test_a_disabled_transmit_ring_is_drained_and_discarded(backend: Backend, sender: FrontEnd) -> None:
    sender.rings[1].send(*FRAMES)
    sender.rings[3].send(*FRAMES)
    backend.wait("the frames of both", lambda b: b.ring(3).counters.discarded == 3, within=2)
    backend.wait("the frames of both", lambda b: b.ring(1).counters.transmitted == 3, within=2)
    assert [slot for slot, _ in sender.rings[3].returned()] == [0, 1, 2]
    assert [slot for slot, _ in sender.rings[1].returned()] == [0, 1, 2]
    assert (len(backend.captured(1)), backend.captured(3)) == (3, [])


def test_a_ring_that_is_enabled_again_captures_again(backend: Backend, sender: FrontEnd) -> None:
    sender.rings[3].send(*FRAMES)
    backend.wait("them to be discarded", lambda b: b.ring(3).counters.discarded == 3, within=2)
    sender.enable(3)
    sender.rings[3].send(b"d" * 60)
    backend.wait("the fourth", lambda b: b.ring(3).counters.transmitted == 1, within=2)
    assert [each.frame for each in backend.captured(3)] == [b"d" * 60]


def test_a_stopped_ring_is_not_touched(backend: Backend, sender: FrontEnd) -> None:
    sender.stop_ring(3)
    sender.rings[3].send(*FRAMES)
    sender.rings[1].send(*FRAMES)
    backend.wait("the frames of ring 1", lambda b: b.ring(1).counters.transmitted == 3, within=2)
    assert sender.rings[3].used == 0
    sender.start_ring(3)
    assert backend.ring(3).counters.discarded == 3


def test_frames_of_a_disabled_ring_do_not_come_after_enabling_it(backend: Backend, sender: FrontEnd) -> None:
    sender.rings[3].send(*FRAMES)
    sender.enable(3)
    sender.enable(3, False)
    counters = backend.ring(3).counters
    assert counters.discarded + counters.transmitted == 3
