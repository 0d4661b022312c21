from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.deadline import Deadline
from harness.errors import BadInput, DeadlineExceeded
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.datapath import Captured, RingRefused
from harness.host.vhost_user.endpoints import Listen
from harness.host.vhost_user.features import VirtioFeature
from harness.host.vhost_user.offer import DEFAULT_FEATURES, Offer

from .driver import SIZE, WRITE
from .frontend import FrontEnd

FRAMES = [bytes([number]) * (60 + number) for number in range(5)]


def sent(count: int, ring: int) -> Callable[[Backend], bool]:
    return lambda backend: backend.ring(ring).counters.transmitted >= count


@pytest.fixture
def receiving(running: FrontEnd) -> FrontEnd:
    """Pair 0 enabled, buffers on every receive ring."""
    running.set_pairs(1)
    for ring in running.rings[::2]:
        ring.post(8)
    return running


def test_frames_arrive_on_the_chosen_ring_only(backend: Backend, receiving: FrontEnd) -> None:
    receiving.set_pairs(4)
    assert backend.inject(4, FRAMES) == 5
    assert receiving.rings[4].received() == FRAMES
    assert [ring.used for ring in receiving.rings] == [0, 0, 0, 0, 5, 0, 0, 0]
    assert backend.ring(4).counters.received == 5


def test_a_disabled_ring_is_refused_unless_forced(backend: Backend, receiving: FrontEnd) -> None:
    assert backend.inject(0, FRAMES) == 5
    with pytest.raises(RingRefused, match="vring 2 is disabled"):
        backend.inject(2, FRAMES)
    assert receiving.rings[2].used == 0
    assert backend.inject(2, FRAMES, force=True) == 5
    assert receiving.rings[2].received() == FRAMES


def test_a_stopped_ring_is_refused(backend: Backend, receiving: FrontEnd) -> None:
    assert backend.inject(0, FRAMES[:1]) == 1
    receiving.stop_ring(0)
    with pytest.raises(RingRefused, match="vring 0 is stopped"):
        backend.inject(0, FRAMES[:1], force=True)
    assert receiving.rings[0].used == 1


def test_a_transmit_ring_or_one_that_is_not_there_is_bad_input(backend: Backend, receiving: FrontEnd) -> None:
    with pytest.raises(BadInput, match="vring 1 is a transmitq"):
        backend.inject(1, FRAMES)
    with pytest.raises(BadInput, match="no vring 8"):
        backend.inject(8, FRAMES)


def test_the_guest_is_interrupted(backend: Backend, receiving: FrontEnd) -> None:
    backend.inject(0, FRAMES)
    assert backend.ring(0).counters.calls == 1
    assert os.eventfd_read(receiving.rings[0].call_fd) == 1


def test_injection_stops_where_the_buffers_end(backend: Backend, receiving: FrontEnd) -> None:
    assert backend.inject(0, FRAMES * 2) == 8
    assert backend.inject(0, FRAMES) == 0
    assert receiving.rings[0].received() == (FRAMES * 2)[:8]


def test_inject_all_waits_for_the_guest_to_supply_buffers(backend: Backend, receiving: FrontEnd) -> None:
    assert backend.inject(0, FRAMES * 2) == 8
    receiving.rings[0].post(3)
    backend.inject_all(0, FRAMES[:3], within=2)
    assert receiving.rings[0].received()[8:] == FRAMES[:3]


def test_inject_all_says_how_far_it_came(backend: Backend, receiving: FrontEnd) -> None:
    with pytest.raises(DeadlineExceeded, match="room for 10 frames in vring 0; last seen: 8 frames put"):
        backend.inject_all(0, FRAMES * 2, within=0.05)


def test_a_frame_longer_than_a_buffer_is_merged(backend: Backend, running: FrontEnd) -> None:
    running.enable(0)
    running.rings[0].post(8, length=512)
    long = bytes(range(256)) * 5
    assert backend.inject(0, [long, b"x" * 60]) == 2
    assert running.rings[0].received() == [long, b"x" * 60]
    assert running.rings[0].used == 4


def test_a_frame_too_long_for_the_buffers_left_takes_none_of_them(
    backend: Backend, running: FrontEnd
) -> None:
    running.enable(0)
    running.rings[0].post(2, length=512)
    assert backend.inject(0, [b"x" * 1400]) == 0
    assert backend.inject(0, [b"x" * 60]) == 1
    assert running.rings[0].received() == [b"x" * 60]


def test_without_merging_a_frame_must_fit_one_buffer(
    offering: Callable[[Offer], Backend], connect: Callable[[], FrontEnd]
) -> None:
    backend = offering(Offer().minus(VirtioFeature.NET_MRG_RXBUF))
    front = connect()
    front.set_up()
    front.enable(0)
    front.rings[0].post(4, length=512)
    with pytest.raises(BadInput, match="1400 bytes does not fit"):
        backend.inject(0, [b"y" * 60, b"x" * 1400])
    assert front.rings[0].received() == [b"y" * 60]


def test_the_oldest_header_has_ten_bytes(backend: Backend, front: FrontEnd) -> None:
    front.negotiate(features=DEFAULT_FEATURES & ~(1 << 32 | 1 << 15))
    front.share_memory()
    front.start_ring(0)
    front.enable(0)
    front.rings[0].post(1)
    backend.inject(0, [b"x" * 60])
    assert front.rings[0].returned() == [(0, 70)]


def test_a_chain_of_several_buffers_is_filled_in_order(backend: Backend, running: FrontEnd) -> None:
    running.enable(0)
    ring = running.rings[0]
    parts = [(ring.guest(ring.buffers + 100 * place), 100, WRITE) for place in range(3)]
    ring.describe_indirect(0, parts)
    ring.offer(0)
    backend.inject(0, [bytes(range(200))])
    assert ring.received() == [bytes(range(200))]


def test_frames_are_captured_per_ring_with_their_time(backend: Backend, running: FrontEnd) -> None:
    running.set_pairs(4)
    start = time.monotonic()
    running.rings[1].send(*FRAMES)
    running.rings[7].send(b"z" * 60)
    backend.wait("six frames", lambda b: sent(5, 1)(b) and sent(1, 7)(b), within=2)
    assert [each.frame for each in backend.captured(1)] == FRAMES
    assert [each.frame for each in backend.captured(7)] == [b"z" * 60]
    assert start < backend.captured(1)[0].time < time.monotonic()
    assert backend.captured(3) == []


def test_captured_frames_can_be_forgotten_and_the_counters_go_on(backend: Backend, running: FrontEnd) -> None:
    running.set_pairs(4)
    running.rings[1].send(*FRAMES)
    backend.wait("five frames", sent(5, 1), within=2)
    backend.clear_captured()
    assert backend.captured(1) == []
    assert backend.ring(1).counters.transmitted == 5


def test_a_frame_in_an_indirect_chain_is_put_together(backend: Backend, running: FrontEnd) -> None:
    running.enable(1)
    ring = running.rings[1]
    ring.memory.map[ring.buffers : ring.buffers + 300] = bytes(100) + b"a" * 100 + b"b" * 100
    ring.describe_indirect(0, [(ring.guest(ring.buffers), 12, 0), (ring.guest(ring.buffers + 150), 100, 0)])
    ring.offer(0)
    ring.kick()
    backend.wait("a frame", sent(1, 1), within=2)
    assert backend.captured(1)[0].frame == b"a" * 50 + b"b" * 50


def test_frames_sent_before_the_start_are_taken_without_a_kick(backend: Backend, front: FrontEnd) -> None:
    front.negotiate()
    front.share_memory()
    front.enable(1)
    front.rings[1].send(*FRAMES, kick=False)
    front.start_ring(1)
    backend.wait("five frames", sent(5, 1), within=2)


def test_positions_wrap_around(backend: Backend, running: FrontEnd) -> None:
    running.set_pairs(1)
    for batch in range(2 * 65536 // SIZE):
        running.rings[1].send(*(b"%04d" % batch for _ in range(SIZE)))
        backend.wait(f"batch {batch}", sent(SIZE * (batch + 1), 1), within=2)
    assert running.rings[1].used == 0
    assert backend.captured(1)[-1].frame == b"%04d" % batch


@pytest.fixture
def echo(path: Path) -> Iterator[Backend]:
    """A back end that sends every frame back to the guest, on the same pair."""

    def answer(ring: int, captured: Captured) -> None:
        backend.inject(ring - 1, [captured.frame[::-1]])

    with Backend(Listen(path), on_frame=answer) as backend:
        yield backend


def test_a_callback_can_answer_the_guest(echo: Backend, connect: Callable[[], FrontEnd]) -> None:
    front = connect()
    front.set_up()
    front.set_pairs(2)
    front.rings[2].post(2)
    front.rings[3].send(b"ping" * 15)
    echo.wait("the answer", lambda b: b.ring(2).counters.received == 1, within=Deadline(2))
    assert front.rings[2].received() == [b"gnip" * 15]


def test_a_ring_that_never_rests_is_served_to_its_end(path: Path, connect: Callable[[], FrontEnd]) -> None:
    def send_another(ring: int, captured: Captured) -> None:
        if len(backend.captured(ring)) < 30:
            front.rings[ring].send(captured.frame, kick=False)

    with Backend(Listen(path), on_frame=send_another) as backend:
        front = connect()
        front.set_up()
        front.enable(1)
        front.rings[1].send(b"x" * 60)
        backend.wait("all frames", sent(30, 1), within=2)
