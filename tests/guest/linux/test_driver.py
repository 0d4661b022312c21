from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from typing import Any

import pytest

from harness.guest.driver import Ledger
from harness.guest.linux import driver as module
from harness.guest.linux.command import CommandResult
from harness.guest.linux.driver import WINDOW, LinuxDriver
from harness.guest.linux.ethtool import Channels
from harness.guest.linux.frames import Frames
from harness.guest.linux.guest import Refused, Unbound
from harness.guest.linux.pktgen import Datagram
from harness.host.flows import flows
from harness.record.landed import Landed
from harness.vmm.base import NicConfig, TapByName

NIC = NicConfig("net0", "02:00:00:00:01:00", 4, TapByName("mq0"))


class FakeGuest:
    """A Linux guest with one NIC: `land` puts frames on queues, `refuses` are the counts that fail."""

    def __init__(self) -> None:
        self.current = 4
        self.counters = [0, 0, 0, 0]
        self.refuses: set[int] = set()
        self.asked: list[Any] = []

    def land(self, frames: dict[int, int]) -> None:
        for queue, count in frames.items():
            self.counters[queue] += count

    def channels(self, interface: str) -> Channels:
        return Channels(4, self.current)

    def set_channels(self, interface: str, pairs: int) -> None:
        self.asked.append(pairs)
        if pairs in self.refuses:
            raise Refused(CommandResult("ethtool", 1, "", "refused"))
        self.current = pairs

    def received(self, interface: str) -> Frames:
        return Frames(tuple(self.counters[: self.current]), sum(self.counters))

    def unbind(self, interface: str) -> Unbound:
        return Unbound("virtio0", interface, NIC.mac)

    def bind(self, unbound: Unbound) -> None:
        self.current = 4
        self.counters = [0, 0, 0, 0]

    def check(self, command: str) -> str:
        self.asked.append(command)
        return ""

    def transmit(self, interface: str, datagrams: list[Datagram], *, queue: int) -> None:
        self.asked.append((queue, datagrams))


@pytest.fixture
def guest() -> FakeGuest:
    return FakeGuest()


@pytest.fixture
def driver(guest: FakeGuest, monkeypatch: pytest.MonkeyPatch) -> LinuxDriver:
    monkeypatch.setattr(module, "QUIET", 0.01)
    as_guest: Any = guest
    driver = LinuxDriver(as_guest, NIC)
    driver.start()
    return driver


def receive(driver: LinuxDriver, land: Callable[[Sequence[bytes]], None], count: int) -> Landed:
    return driver.receive(land, [b""] * count, Ledger())


def test_believes_what_ethtool_says_once_it_was_started(guest: FakeGuest) -> None:
    as_guest: Any = guest
    driver = LinuxDriver(as_guest, NIC)
    assert not driver.running
    driver.start()
    assert driver.running
    assert driver.believed_pairs == {0, 1, 2, 3}


def test_counts_are_set_and_believed(driver: LinuxDriver, guest: FakeGuest) -> None:
    assert driver.set_pairs(2)
    assert guest.asked == [2]
    assert driver.believed_pairs == {0, 1}


@pytest.mark.parametrize(("pairs", "asked"), [(4, [3, 4]), (1, [1, 2, 1])])
def test_the_count_that_is_in_force_is_asked_for_by_way_of_another(
    driver: LinuxDriver, guest: FakeGuest, pairs: int, asked: list[int]
) -> None:
    assert driver.set_pairs(pairs)
    if pairs == 1:
        assert driver.set_pairs(pairs)
    assert guest.asked == asked
    assert driver.believed_pairs == set(range(pairs))


def test_a_refused_count_leaves_what_was_believed(driver: LinuxDriver, guest: FakeGuest) -> None:
    guest.refuses = {2}
    assert not driver.set_pairs(2)
    assert driver.believed_pairs == {0, 1, 2, 3}


def test_frames_are_counted_by_queue(driver: LinuxDriver, guest: FakeGuest) -> None:
    guest.land({3: 7})  # before
    landed = receive(driver, lambda frames: guest.land({0: 1, 2: 2}), 3)
    assert landed == Landed(3, {0: 1, 1: 0, 2: 2, 3: 0})
    assert landed.pairs == {0, 2}


def test_frames_that_do_not_come_are_lost(driver: LinuxDriver, guest: FakeGuest) -> None:
    landed = receive(driver, lambda frames: guest.land({1: 2}), 5)
    assert (landed.lost, landed.twice) == (3, 0)


def test_more_frames_than_were_sent_count_as_seen_twice(driver: LinuxDriver, guest: FakeGuest) -> None:
    landed = receive(driver, lambda frames: guest.land({1: 6}), 5)
    assert (landed.lost, landed.twice) == (0, 1)


def test_a_window_is_sent_once_the_one_before_has_arrived(driver: LinuxDriver, guest: FakeGuest) -> None:
    windows: list[int] = []

    def inject(frames: Sequence[bytes]) -> None:
        assert sum(guest.counters) == sum(windows)
        windows.append(len(frames))
        guest.land({0: len(frames)})

    assert receive(driver, inject, 2 * WINDOW + 1).exactly_once
    assert windows == [WINDOW, WINDOW, 1]


def test_frames_above_the_count_are_told_apart_and_the_count_is_as_before(
    driver: LinuxDriver, guest: FakeGuest
) -> None:
    guest.land({3: 5})
    assert driver.set_pairs(2)
    landed = receive(driver, lambda frames: guest.land({0: 2, 2: 1, 3: 4}), 7)
    assert landed == Landed(7, {0: 2, 1: 0, 2: 1, 3: 4})
    assert guest.asked == [2, 4, 2]
    assert guest.current == 2


def test_a_reset_binds_anew_and_brings_the_interface_up(driver: LinuxDriver, guest: FakeGuest) -> None:
    assert driver.set_pairs(1)
    guest.land({0: 3})
    driver.reset()
    assert guest.asked[-1] == "ip link set net0 up"
    assert driver.believed_pairs == {0, 1, 2, 3}
    assert receive(driver, lambda frames: guest.land({0: 3}), 3).exactly_once


def test_frames_are_sent_with_the_addresses_of_those_given(driver: LinuxDriver, guest: FakeGuest) -> None:
    frames = [flow.reply(bytes(6), 0) for flow in flows(2)]
    assert driver.transmit(3, frames) == 2
    ((queue, (_, second)),) = guest.asked
    assert queue == 3
    assert second == Datagram(
        "02:00:00:00:00:01", IPv4Address("10.77.1.1"), 20007, IPv4Address("10.77.0.3"), 20001
    )
