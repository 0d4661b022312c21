"""Frames: where they land, accounted for by identity, and buffers that go round."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.errors import DeadlineExceeded, GuestError
from harness.guest.driver import Ledger
from harness.guest.probe import driver as driver_module
from harness.guest.probe.driver import ProbeDriver
from harness.guest.probe.net import VirtioNet
from harness.host.flows import flows
from harness.record.landed import Landed
from tests.probe.simulated_net import HEADER, SimulatedNet

MAC = bytes.fromhex("020000000100")


def stamped(identities: Sequence[int]) -> list[bytes]:
    return [flows(64)[identity % 64].frame(MAC, identity) for identity in identities]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture(autouse=True)
def _short_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "QUIET", 0.01)
    monkeypatch.setattr(driver_module, "FIRST", 0.01)


def received(driver: ProbeDriver, ledger: Ledger, device: SimulatedNet, count: int = 64) -> Landed:
    return driver.receive(device.inject, stamped(ledger.open(count)), ledger)


@pytest.mark.parametrize("pairs", [1, 2, 4])
def test_every_frame_is_found_on_its_pair(
    driver: ProbeDriver, device: SimulatedNet, ledger: Ledger, pairs: int
) -> None:
    driver.set_pairs(pairs)
    landed = received(driver, ledger, device)
    assert landed.exactly_once
    assert landed.by_pair == dict.fromkeys(range(pairs), 64 // pairs)


def test_frame_on_a_pair_that_is_not_active_is_seen(
    driver: ProbeDriver, device: SimulatedNet, ledger: Ledger
) -> None:
    device.active = 4  # and the driver was not asked
    assert received(driver, ledger, device).pairs == {0, 1, 2, 3}
    assert driver.believed_pairs == {0}


def test_lost_frames_are_counted(driver: ProbeDriver, device: SimulatedNet, ledger: Ledger) -> None:
    frames = stamped(ledger.open(64))
    landed = driver.receive(lambda sent: device.inject(sent[:61]), frames, ledger)
    assert (landed.sent, landed.lost, bool(landed.exactly_once)) == (64, 3, False)
    assert landed.by_pair == {0: 61}


def test_late_frames_are_counted_apart(driver: ProbeDriver, device: SimulatedNet, ledger: Ledger) -> None:
    first = stamped(ledger.open(8))
    driver.receive(lambda sent: device.inject(sent[2:]), first, ledger)
    device.inject(first[:2])
    landed = received(driver, ledger, device, 8)
    assert (landed.lost, landed.twice, landed.late) == (0, 0, 2)
    assert landed.by_pair == {0: 8}


def test_frames_seen_twice_are_counted_apart(
    driver: ProbeDriver, device: SimulatedNet, ledger: Ledger
) -> None:
    frames = stamped(ledger.open(8))
    landed = driver.receive(lambda sent: device.inject([*sent[:3], *sent]), frames, ledger)
    assert (landed.lost, landed.twice, landed.late) == (0, 3, 0)
    assert not landed.exactly_once


def test_frame_that_comes_twice_and_late_is_late_once(
    driver: ProbeDriver, device: SimulatedNet, ledger: Ledger
) -> None:
    (frame,) = stamped(ledger.open(1))
    driver.receive(lambda _: None, [frame], ledger)
    device.inject([frame, frame])
    landed = received(driver, ledger, device, 8)
    assert (landed.late, landed.twice) == (1, 1)


def test_buffer_used_twice_is_an_error(driver: ProbeDriver, device: SimulatedNet, ledger: Ledger) -> None:
    device.wrong.uses_twice = True
    with pytest.raises(GuestError, match="which it does not hold"):
        received(driver, ledger, device)


def test_foreign_frames_are_no_arrivals(driver: ProbeDriver, device: SimulatedNet, ledger: Ledger) -> None:
    device.inject([b"\xff" * 60, b"", bytes(1500)])
    assert received(driver, ledger, device).exactly_once


def test_more_frames_than_buffers_come_through_in_windows(
    driver: ProbeDriver, device: SimulatedNet, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "WINDOW", 200)
    landed = received(driver, ledger, device, 2000)
    assert landed.exactly_once, landed


def test_frames_beyond_the_buffers_are_lost(
    driver: ProbeDriver, device: SimulatedNet, ledger: Ledger
) -> None:
    assert received(driver, ledger, device, 300).lost == 300 - 256
    assert received(driver, ledger, device, 200).exactly_once


def test_part_of_a_frame_can_be_read(driver: ProbeDriver, device: SimulatedNet) -> None:
    device.place(3, b"0123456789")
    device.place(3, b"01")
    assert driver.net.take_frames(4, 3) == [(3, b"456"), (3, b"")]


def test_landed_reads_as_a_sentence() -> None:
    assert str(Landed(9, {1: 2, 0: 4}, lost=3, twice=1)) == (
        "9 frames sent; landed on pair 0: 4, pair 1: 2, 3 lost, 1 seen twice"
    )
    assert str(Landed(2, {}, lost=2)) == "2 frames sent; landed on nowhere, 2 lost"


def test_frames_can_be_awaited_unread(driver: ProbeDriver, device: SimulatedNet) -> None:
    device.place(1, b"one")
    device.place(3, b"two")
    assert driver.net.await_frames(2) == {1, 3}
    with pytest.raises(DeadlineExceeded, match="for 1 frames to arrive; last seen: 0 came"):
        driver.net.await_frames(1, within=0.01)


# Transmit


@pytest.mark.parametrize("pair", [0, 3])
def test_sent_frames_leave_by_their_pair(driver: ProbeDriver, device: SimulatedNet, pair: int) -> None:
    assert driver.net.send(pair, [b"a" * 60, b"b" * 1514]) == 2
    assert device.transmitted == [(pair, b"a" * 60), (pair, b"b" * 1514)]


def test_transmit_buffers_go_round(driver: ProbeDriver, device: SimulatedNet) -> None:
    frames = [number.to_bytes(4) for number in range(20000)]  # their buffers together exceed the memory
    assert driver.net.send(1, frames, within=60) == 20000
    assert device.transmitted == [(1, frame) for frame in frames]


def test_device_that_takes_no_frames_is_told_by_the_count(driver: ProbeDriver, device: SimulatedNet) -> None:
    device.wrong.silent_transmit = True
    assert driver.net.send(0, [b"x" * 60] * 3, within=0.02) == 0


def test_buffers_that_come_back_late_do_not_count_for_the_next_frames(
    driver: ProbeDriver, device: SimulatedNet
) -> None:
    device.wrong.silent_transmit = True
    driver.net.send(0, [b"x" * 60] * 3, within=0.02)
    device.transmit(0)
    assert driver.net.send(0, [b"y" * 60], within=0.02) == 0
    device.wrong.silent_transmit = False
    assert driver.net.send(0, [b"z" * 60]) == 1


def test_header_in_front_of_a_sent_frame_is_zero(net: VirtioNet, device: SimulatedNet) -> None:
    net.start()
    device.wrong.silent_transmit = True
    net.send(0, [b"frame"], within=0.02)
    queue = device.rings[1].queue
    chain = queue.take() if queue else None
    assert chain is not None
    assert device.memory.read(*chain.readable[0]) == bytes(HEADER) + b"frame"
