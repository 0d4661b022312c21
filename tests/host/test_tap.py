"""A tap and its witnesses, with this process in the VMM's place."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from harness.deadline import PACE, wait_until
from harness.errors import BadInput, DeadlineExceeded, Owner, Unavailable
from harness.host import farewell, tun, wire
from harness.host import tap as tap_module
from harness.host.backend import HostView
from harness.host.changes import QueueCounts
from harness.host.flows import STAMP_OFFSET, flows
from harness.host.tap import HandedTap, Tap, TapQueues, VmmTap
from harness.vmm.base import TapByFds, TapByName

OpenQueues = Callable[[Tap, int], list[int]]
US = os.getpid()
VNET_HEADER = 10
FRAMES = [flow.frame(b"\2\0\0\0\1\0", number) for number, flow in enumerate(flows(64))]


def interfaces() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def states(tap: Tap) -> TapQueues:
    return tap.queues(US)


# Making and removing


def test_tap_is_made_up_and_gone_when_closed(name: str) -> None:
    tap = Tap(name, 2)
    assert tap.attachment == TapByName(name)
    assert Path(f"/sys/class/net/{name}/flags").read_text() == "0x1003\n"  # up, broadcast, multicast
    tap.close()
    farewell.settle()
    assert name not in interfaces()
    tap.close()


def test_name_that_is_taken_is_refused_and_left_alone(tap: Tap) -> None:
    with pytest.raises(BadInput, match=rf"interface '{tap.name}' exists already: .* ip link del {tap.name}"):
        Tap(tap.name, 1)
    assert tap.name in interfaces()


def test_name_that_is_too_long_is_refused(own_network: None) -> None:
    with pytest.raises(BadInput, match=r"'0123456789abcdef' is too long: the kernel takes 15 characters"):
        Tap("0123456789abcdef", 1)
    Tap("0123456789abcde", 1).close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EPERM, "may not open /dev/net/tun: run again with sudo"),
        (
            errno.ENOENT,
            "/dev/net/tun is missing: load the module with modprobe tun, or give the container "
            "--device /dev/net/tun",
        ),
    ],
)
def test_tap_that_cannot_be_made_is_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tun, "open_queue", refuse)
    with pytest.raises(Unavailable, match=f"^{words}$"):
        Tap(name, 2)
    assert name not in interfaces()


def test_interface_that_somebody_removed_is_no_error(tap: Tap) -> None:
    with IPRoute() as links:
        links.link("del", index=tap.index)
    tap.close()


# What is attached


def test_tap_without_a_vmm_has_no_queue(tap: Tap) -> None:
    assert states(tap) == TapQueues(0, 0, ())


@pytest.mark.parametrize("count", [1, 3, 4])
def test_queues_are_counted_and_told_apart(tap: Tap, open_queues: OpenQueues, count: int) -> None:
    queues = open_queues(tap, count)
    assert states(tap) == TapQueues(count, 0, (True,) * count)
    tun.set_queue(queues[0], attach=False)
    assert states(tap) == TapQueues(count - 1, 1, (False,) + (True,) * (count - 1))
    assert states(tap).pairs == set(range(1, count))


def test_each_queue_has_a_state_of_its_own(tap: Tap, open_queues: OpenQueues) -> None:
    queues = open_queues(tap, 4)
    for detached in ({1, 3}, {0}, set(), {0, 1, 2, 3}):
        for pair in set(range(4)) - states(tap).pairs:
            tun.set_queue(queues[pair], attach=True)
        for pair in detached:
            tun.set_queue(queues[pair], attach=False)
        assert states(tap).pairs == set(range(4)) - detached
        assert tap.counts() == (4 - len(detached), len(detached))


def test_duplicated_descriptors_count_once(tap: Tap, open_queues: OpenQueues, undo: ExitStack) -> None:
    queues = open_queues(tap, 3)
    for queue in queues * 2:
        undo.callback(os.close, os.dup(queue))
    tun.set_queue(queues[1], attach=False)
    assert states(tap) == TapQueues(2, 1, (True, False, True))


def test_order_is_that_of_opening_even_where_a_low_number_came_free_meanwhile(
    tap: Tap, open_queues: OpenQueues, undo: ExitStack
) -> None:
    farewell.settle()  # what is closed beside the test would free numbers too
    free = os.open("/dev/null", os.O_RDONLY)
    queues = open_queues(tap, 1)
    os.close(free)
    queues += open_queues(tap, 2)
    for queue in queues * 2:
        undo.callback(os.close, os.dup(queue))
    assert queues[1] < queues[0]
    tun.set_queue(queues[0], attach=False)
    assert states(tap).each == (False, True, True)


def test_queues_of_other_taps_do_not_count(tap: Tap, open_queues: OpenQueues, undo: ExitStack) -> None:
    other = Tap(f"{tap.name}x", 4)
    undo.callback(other.close)
    open_queues(other, 2)
    unbound = os.open(tun.DEVICE, os.O_RDWR)
    undo.callback(os.close, unbound)
    open_queues(tap, 1)
    assert states(tap) == TapQueues(1, 0, (True,))
    assert states(other).attached == 2


def test_looking_leaves_no_descriptor_behind(tap: Tap, open_queues: OpenQueues) -> None:
    open_queues(tap, 4)
    before = set(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        states(tap)
    assert len(set(Path("/proc/self/fd").iterdir())) == len(before)


@pytest.fixture
def displaced(tap: Tap, undo: ExitStack) -> list[int]:
    """Three queues of a tap, the first of which has the highest descriptor: one of a lower number was freed later."""
    first, *others = [tun.open_queue(tap.name, multi_queue=True) for _ in range(3)]
    queues = [os.dup(first), *others]
    os.close(first)
    for queue in queues:
        undo.callback(os.close, queue)
    return queues


def test_queues_are_told_apart_whatever_their_descriptors(tap: Tap, displaced: list[int]) -> None:
    assert displaced[0] > max(displaced[1:])
    tun.set_queue(displaced[2], attach=False)
    assert states(tap).each == (True, True, False)
    tun.set_queue(displaced[1], attach=False)
    assert states(tap).each == (True, False, False)


def test_queues_are_known_again_however_they_were_attached_since(tap: Tap, displaced: list[int]) -> None:
    assert states(tap).each == (True, True, True)
    for queue in displaced:
        tun.set_queue(queue, attach=False)
    for last in (2, 0):
        tun.set_queue(displaced[last], attach=True)
    assert states(tap).each == (True, False, True)


def test_descriptors_decide_where_the_kernel_numbers_no_more(tap: Tap, open_queues: OpenQueues) -> None:
    queues = open_queues(tap, 3)
    for queue in queues:  # from the bottom, as QEMU does: the last one takes the place of the first
        tun.set_queue(queue, attach=False)
    tun.set_queue(queues[1], attach=True)
    assert states(tap).each == (False, True, False)


def test_numbers_mean_nothing_after_a_predecessor(tap: Tap, open_queues: OpenQueues) -> None:
    before = [tun.open_queue(tap.name, multi_queue=True) for _ in range(4)]
    queues = open_queues(tap, 4)
    for queue in before:  # each leaves its number to the last one, so that the order ends up reversed
        os.close(queue)
    tap.inherit(US)
    tun.set_queue(queues[0], attach=False)
    assert states(tap).each == (False, True, True, True)


def test_asking_for_numbers_takes_no_frame_away(tap: Tap, open_queues: OpenQueues) -> None:
    queues = open_queues(tap, 2)
    os.write(queues[1], bytes(VNET_HEADER) + FRAMES[0])
    assert states(tap).each == (True, True)
    os.write(queues[0], bytes(VNET_HEADER) + FRAMES[1])
    assert tap.capture() == FRAMES[:2]
    assert received(queues[0]) == received(queues[1]) == []


def test_queues_of_another_process_are_seen(tap: Tap, open_queues: OpenQueues) -> None:
    queues = open_queues(tap, 2)
    tun.set_queue(queues[1], attach=False)
    with subprocess.Popen(["cat"], pass_fds=queues, stdin=subprocess.PIPE) as vmm:
        held = wait_until(
            "cat to hold them", lambda: tap.queues(vmm.pid).each or None, owed_by=Owner.HOST, within=5
        )
        vmm.communicate(timeout=5 * PACE)
    assert held == (True, False)


def test_tap_of_one_pair_is_one_attached_queue(name: str, undo: ExitStack, open_queues: OpenQueues) -> None:
    tap = Tap(name, 1)
    undo.callback(tap.close)
    assert tap.counts() == (1, 0)
    open_queues(tap, 1)
    assert states(tap) == TapQueues(1, 0, (True,))
    view = tap.view(US)
    assert view == HostView(1, frozenset({0}), 1)
    assert view.consistent


def test_many_queues(name: str, undo: ExitStack, open_queues: OpenQueues) -> None:
    tap = Tap(name, 64)
    undo.callback(tap.close)
    queues = open_queues(tap, 64)
    for queue in queues[10:]:
        tun.set_queue(queue, attach=False)
    assert states(tap) == TapQueues(10, 54, (True,) * 10 + (False,) * 54)
    assert states(tap).pairs == set(range(10))


# The order of changes


def test_changes_come_in_order(tap: Tap, open_queues: OpenQueues) -> None:
    queues = open_queues(tap, 2)
    for attach in (False, True, False):
        tun.set_queue(queues[1], attach=attach)
    assert tap.changes()[-5:] == [
        QueueCounts(1, 0),
        QueueCounts(2, 0),
        QueueCounts(1, 1),
        QueueCounts(2, 0),
        QueueCounts(1, 1),
    ]
    assert tap.changes() == []


def test_repetitions_and_other_interfaces_are_no_changes(
    tap: Tap, open_queues: OpenQueues, undo: ExitStack
) -> None:
    open_queues(tap, 1)
    tap.changes()
    other = Tap(f"{tap.name}x", 2)
    undo.callback(other.close)
    open_queues(other, 1)
    with IPRoute() as links:
        links.link("set", index=tap.index, mtu=1400)
    assert tap.changes() == []
    assert other.changes()[-2:] == [QueueCounts(0, 0), QueueCounts(1, 0)]


# Frames


def received(queue: int) -> list[bytes]:
    """The frames that wait in a queue."""
    frames = []
    while True:
        try:
            frames.append(os.read(queue, 4096)[VNET_HEADER:])
        except BlockingIOError:
            return frames


def test_injected_frames_reach_the_attached_queues_only(tap: Tap, open_queues: OpenQueues) -> None:
    queues = open_queues(tap, 3)
    tun.set_queue(queues[2], attach=False)
    tap.inject(FRAMES)
    landed = [received(queue) for queue in queues]
    assert sorted(landed[0] + landed[1]) == sorted(FRAMES)
    assert all(landed[:2])
    assert landed[2] == []


def test_frames_of_one_flow_keep_their_order(tap: Tap, open_queues: OpenQueues) -> None:
    (queue,) = open_queues(tap, 1)
    frames = [flows(1)[0].frame(bytes(6), number) for number in range(300)]
    tap.inject(frames)
    assert received(queue) == frames


def test_captured_frames_are_those_that_the_guest_sent(tap: Tap, open_queues: OpenQueues) -> None:
    queues = open_queues(tap, 2)
    tap.inject(FRAMES)  # our own are not captured
    for number, frame in enumerate(FRAMES[:10]):
        os.write(queues[number % 2], bytes(VNET_HEADER) + frame)
    assert tap.capture() == FRAMES[:10]
    assert tap.capture() == []


def test_no_frame_is_lost_right_after_the_first_queue_was_attached(name: str, undo: ExitStack) -> None:
    for number in range(8):  # the kernel's link watch is late now and then
        tap = Tap(f"{name}-{number}", 4)
        undo.callback(tap.close)
        queue = tun.open_queue(tap.name, multi_queue=True)
        undo.callback(os.close, queue)
        tap.inject(FRAMES)
        assert len(received(queue)) == len(FRAMES)


def test_frames_for_a_tap_that_nobody_holds_are_lost_and_nothing_waits(tap: Tap) -> None:
    tap.inject(FRAMES)
    assert tap.capture() == []


def test_interface_that_takes_no_frame_is_given_up(tap: Tap, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bytes] = []

    class Full:
        def send(self, frame: bytes) -> None:
            if len(taken) == 3:
                raise OSError(errno.ENOBUFS, "No buffer space available")
            taken.append(frame)

    monkeypatch.setattr(wire, "TAKEN_WITHIN", 0.02)
    monkeypatch.setattr(tap._wire, "_sender", Full())
    with pytest.raises(
        DeadlineExceeded, match=r"to take one more of 64 frames; last seen: it took 3; the host owed it"
    ):
        tap.inject(FRAMES)


def test_interface_that_is_full_for_a_moment_gets_every_frame_once(
    tap: Tap, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bytes] = []
    tries = iter(range(1000))

    class Slow:
        def send(self, frame: bytes) -> None:
            if next(tries) % 3:
                raise OSError(errno.ENOBUFS, "No buffer space available")
            taken.append(frame)

    monkeypatch.setattr(tap._wire, "_sender", Slow())
    tap.inject(FRAMES)
    assert taken == FRAMES


# Taps of other origins


def test_handed_tap_tells_of_its_queues_by_itself(name: str, undo: ExitStack) -> None:
    tap = HandedTap(name, 3)
    undo.callback(tap.close)
    assert tap.attachment == TapByFds(tuple(tap.descriptors))
    tun.set_queue(tap.descriptors[0], attach=False)
    assert tap.queues(1) == TapQueues(2, 1, (False, True, True))


def test_handed_tap_is_gone_when_closed(name: str) -> None:
    HandedTap(name, 3).close()
    farewell.settle()
    assert name not in interfaces()


def test_tap_that_the_vmm_makes_is_found(name: str, undo: ExitStack, open_queues: OpenQueues) -> None:
    tap = VmmTap(name, 2)
    undo.callback(tap.close)
    assert name not in interfaces()
    open_queues(tap, 2)
    tap.adopt()
    assert states(tap) == TapQueues(2, 0, (True, True))
    tap.inject(FRAMES[:1])


def test_tap_that_the_vmm_does_not_make_is_missed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap_module, "MADE_WITHIN", 0.02)
    tap = VmmTap(name, 2)
    with pytest.raises(DeadlineExceeded, match=f"the VMM to make the tap {name}"):
        tap.adopt()
    tap.close()


def test_stamp_lies_where_the_driver_looks_for_it() -> None:
    assert FRAMES[7][STAMP_OFFSET:].startswith(b"mqconf01")
    assert socket.ntohs(int.from_bytes(FRAMES[7][12:14], "little")) == 0x0800
