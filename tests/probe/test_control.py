"""Control commands: acks, layouts, batches, and what stands for an answer that does not come."""

from __future__ import annotations

import time

import pytest

from harness.deadline import PACE
from harness.errors import GuestError
from harness.guest.answer import UNTOUCHED, Ack, Answer
from harness.guest.probe.driver import ProbeDriver
from harness.guest.probe.features import CONTROL
from harness.guest.probe.net import VirtioNet, pairs_set
from harness.guest.status import Status
from tests.probe.simulated_net import SimulatedNet

AT_ONCE = 0.02
"""Seconds to wait for an answer that a test knows will not come."""


@pytest.fixture
def started(driver: ProbeDriver) -> VirtioNet:
    return driver.net


@pytest.mark.parametrize("pairs", [1, 2, 3, 4])
def test_legal_count_is_acknowledged_and_believed(
    driver: ProbeDriver, device: SimulatedNet, pairs: int
) -> None:
    assert driver.set_pairs(pairs)
    assert device.active == pairs
    assert driver.believed_pairs == set(range(pairs))


@pytest.mark.parametrize("pairs", [0, 5, 0x8000, 0xFFFF])
def test_refused_count_is_not_believed(driver: ProbeDriver, device: SimulatedNet, pairs: int) -> None:
    assert driver.set_pairs(2)
    assert not driver.net.set_pairs(pairs)
    assert driver.believed_pairs == {0, 1}
    assert device.active == 2


def test_control_queue_is_the_third_without_multiqueue(net: VirtioNet, device: SimulatedNet) -> None:
    net.start(CONTROL)
    assert not net.set_pairs(1)
    assert device.doorbells[-1] == 2


def test_several_commands_in_one_kick(started: VirtioNet, device: SimulatedNet) -> None:
    device.doorbells.clear()
    for pairs in (2, 9, 3):
        started.post_control(pairs_set(pairs))
    answers = started.kick_control(3)
    assert [answer.ack for answer in answers] == [Ack.OK, Ack.ERR, Ack.OK]
    assert device.doorbells == [8]
    assert device.active == 3


@pytest.mark.parametrize(
    "out",
    [[b"\4\0\3\0"], [b"\4", b"\0", b"\3", b"\0"], [b"\4\0", b"\3\0"], [b"\4\0\3", b"\0"]],
    ids=["one", "four", "usual", "odd"],
)
@pytest.mark.parametrize("into", [(1,), (4,), (1, 1)])
def test_any_layout_can_be_sent(
    started: VirtioNet, device: SimulatedNet, out: list[bytes], into: tuple[int, ...]
) -> None:
    answer = started.control(out, into)
    untouched = bytes([UNTOUCHED]) * (sum(into) - 1)
    assert (answer.ack, answer.written, answer.data, answer.status) == (
        Ack.OK,
        1,
        b"\0" + untouched,
        device.status,
    )
    assert device.active == 3


def test_silence_is_an_answer(started: VirtioNet, device: SimulatedNet) -> None:
    device.wrong.silent_control = True
    started.post_control(pairs_set(2))
    (answer,) = started.kick_control(within=AT_ONCE)
    assert answer == Answer("VQ_PAIRS_SET 2", Ack.SILENCE, status=device.status, waited=AT_ONCE * PACE)


def test_device_that_asks_for_a_reset_is_not_awaited(started: VirtioNet, device: SimulatedNet) -> None:
    begun = time.monotonic()
    device.wrong.breaks_on_control = True
    started.post_control(pairs_set(2))
    (answer,) = started.kick_control(within=60)
    assert str(answer) == "VQ_PAIRS_SET 2 had no answer: the device asks for a reset"
    assert time.monotonic() - begun < 60 * PACE


def test_part_of_the_answers_leaves_silence_for_the_rest(started: VirtioNet) -> None:
    started.post_control(pairs_set(2))
    answers = started.kick_control(2, within=AT_ONCE)
    assert [answer.ack for answer in answers] == [Ack.OK, Ack.SILENCE]


def test_device_that_asks_for_a_reset_is_seen_and_can_be_reset(
    started: VirtioNet, device: SimulatedNet
) -> None:
    device.wrong.breaks_on_control = True
    started.post_control(pairs_set(2))
    (answer,) = started.kick_control(within=AT_ONCE)
    assert answer.ack is Ack.SILENCE
    assert Status.NEEDS_RESET in answer.status
    device.wrong.breaks_on_control = False
    assert Status.NEEDS_RESET not in started.start()
    assert started.set_pairs(2)


def test_device_that_asks_for_a_reset_at_driver_ok_did_not_start(
    driver: ProbeDriver, device: SimulatedNet
) -> None:
    device.wrong.breaks_on_start = True
    with pytest.raises(GuestError, match=r"did not start with .*NEEDS_RESET"):
        driver.start()


def test_unknown_ack_is_handed_over_as_it_is(driver: ProbeDriver, device: SimulatedNet) -> None:
    device.wrong.ack = 0x77
    assert driver.net.set_pairs(2).ack == 0x77
    assert driver.believed_pairs == {0}


def test_ack_byte_left_untouched_is_told_apart(driver: ProbeDriver, device: SimulatedNet) -> None:
    device.wrong.writes_no_ack = True
    assert driver.net.set_pairs(2).ack is Ack.NONE
    assert driver.believed_pairs == {0}


def test_command_without_an_ack_buffer_can_be_sent(started: VirtioNet, device: SimulatedNet) -> None:
    assert started.post_control(pairs_set(2), into=()) == 0
    (answer,) = started.kick_control(within=AT_ONCE)
    assert Status.NEEDS_RESET in answer.status


def test_commands_beyond_the_ring_are_an_error(started: VirtioNet) -> None:
    for _ in range(256 // 3):
        started.post_control(pairs_set(1))
    with pytest.raises(GuestError, match="virtqueue 8 is full: 85 chains are outstanding"):
        started.post_control(pairs_set(1))


def test_descriptors_are_used_again(started: VirtioNet) -> None:
    assert {started.set_pairs(turn % 4 + 1).ack for turn in range(300)} == {Ack.OK}


def test_belief_follows_the_answers_whatever_their_order(started: VirtioNet, device: SimulatedNet) -> None:
    device.wrong.answers_backwards = True
    for command in (pairs_set(3), [b"\4\7", b""], pairs_set(2)):
        started.post_control(command)
    answers = started.kick_control(3)
    assert [answer.ack for answer in answers] == [Ack.OK, Ack.ERR, Ack.OK]
    assert started.active_pairs == device.active == 3


def test_every_step_that_the_device_sees_is_told(net: VirtioNet) -> None:
    told: list[tuple[str, int | None]] = []
    net.narrate = lambda what, pairs: told.append((what, pairs))
    net.start()
    net.set_pairs(3)
    net.set_pairs(9)
    net.control([b"\x01\x00"])
    for _ in range(10):
        net.post_control(pairs_set(2))
    net.kick_control(10)
    net.reset()
    assert told[:7] == [
        ("has set DRIVER_OK", 1),
        ("control queue: VQ_PAIRS_SET 3", None),
        ("control queue: VQ_PAIRS_SET 3 was acknowledged", 3),
        ("control queue: VQ_PAIRS_SET 9", None),
        ("control queue: VQ_PAIRS_SET 9 was refused", None),
        ("control queue: command 01 00", None),
        ("control queue: command 01 00 was refused", None),
    ]
    assert told[7][0] == "control queue: " + ", ".join(["VQ_PAIRS_SET 2"] * 8) + " and 2 more"
    assert told[-1] == ("resets the device", None)


def test_silence_is_told_too(net: VirtioNet) -> None:
    told: list[str] = []
    net.start()
    net.narrate = lambda what, pairs: told.append(what)
    net.await_control(within=AT_ONCE)
    assert told == [f"control queue: a command had no answer within {AT_ONCE * PACE:.1f} s"]
