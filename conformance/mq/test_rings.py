"""Receive rings over growth and shrinkage: nothing is used before its time, twice, or lost."""

from random import Random

import pytest

from harness.guest.answer import Ack, Answer
from harness.guest.probe.features import MULTIQUEUE
from harness.guest.probe.net import VirtioNet
from harness.host.flows import flows
from harness.lifecycle import check_frames, check_receives
from harness.record.pairs import Pairs
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = pytest.mark.backends("tap", "vhost-user")


def used_indices(net: VirtioNet) -> dict[int, int]:
    """The device's position in each receive ring's used ring, by pair."""
    return {pair: queue.used_index for pair, queue in net.receive_queues()}


def used_pairs(net: VirtioNet) -> Pairs:
    """The pairs on which the device has used a buffer."""
    return Pairs((pair for pair, index in used_indices(net).items() if index), "buffers were used on")


@requirement("NET-MQ-05", "NET-MQ-06")
def test_removed_pairs_are_left_alone(nic: Nic, net: VirtioNet) -> None:
    """From the moment the ack of a shrink can be read, no used index above the count moves, whatever is sent."""
    assert nic.set_pairs(4)
    assert nic.receive(flows(64)).pairs == {0, 1, 2, 3}
    assert nic.set_pairs(2)
    at_the_ack = used_indices(net)
    landed = nic.receive(flows(64), copies=8)
    assert landed.pairs == {0, 1}
    moved = {pair for pair, index in used_indices(net).items() if index != at_the_ack[pair]}
    assert Pairs(moved, "buffers were used on") <= {0, 1}


@requirement("NET-MQ-08")
def test_rings_go_on_where_they_stood(nic: Nic, net: VirtioNet) -> None:
    """Buffers on a pair that was inactive are still there when it is active again, and used in order."""
    assert nic.set_pairs(4)
    assert nic.receive(flows(64), copies=4).exactly_once
    before = used_indices(net)
    assert nic.set_pairs(1)
    assert nic.receive(flows(64)).pairs == {0}
    assert nic.set_pairs(4)
    landed = nic.receive(flows(64), copies=4)
    assert landed.exactly_once
    for pair in (1, 2, 3):
        assert used_indices(net)[pair] == (before[pair] + landed.by_pair[pair]) & 0xFFFF


@requirement("NET-MQ-08", "NET-MQ-25")
def test_no_buffer_is_used_twice_or_kept(nic: Nic, net: VirtioNet, rng: Random) -> None:
    """Over many changes each receive ring always holds all of its buffers again once frames are taken off."""
    for pairs in rng.choices(range(1, 5), k=20):
        assert nic.set_pairs(pairs)
        check_receives(nic)
        assert all(queue.outstanding == queue.size for _, queue in net.receive_queues())


SMALL = 64
GROWTHS = [(1, 2), (1, 4), (2, 3), (2, 4), (3, 4)]


@pytest.mark.parametrize(
    ("before", "after"), GROWTHS, ids=[f"{before}-to-{after}" for before, after in GROWTHS]
)
@pytest.mark.backends("tap")
@requirement("NET-MQ-26")
def test_waiting_frames_outlast_a_growth(nic: Nic, net: VirtioNet, before: int, after: int) -> None:
    """More frames than active pairs have buffers, then more pairs, then they are taken off: all are where they were."""
    net.start(ring=SMALL)
    assert nic.set_pairs(before)
    answers: list[Answer] = []
    landed = nic.receive(flows(SMALL * (before + 1)), meanwhile=lambda: answers.append(nic.set_pairs(after)))
    assert [answer.ack for answer in answers] == [Ack.OK]
    assert landed.exactly_once
    assert landed.pairs == set(range(before))


@requirement("NET-RST-03")
def test_no_buffer_is_used_before_driver_ok(nic_cold: Nic, net: VirtioNet) -> None:
    """Frames that come while the driver sets up touch no ring; from DRIVER_OK on they come on the first pair alone."""
    for _ in range(5):
        net.prepare(MULTIQUEUE)
        nic_cold.send(flows(64))
        assert used_pairs(net) == set()
        net.set_driver_ok()
        nic_cold.send(flows(64))
        landed = nic_cold.receive(flows(64))
        assert landed.pairs == {0}
        assert landed.lost == 0, f"no frame should be lost: {landed}"
        assert used_pairs(net) <= {0}


@requirement("NET-RING-04", "NET-MQ-08")
def test_ring_filled_while_its_pair_is_inactive(nic_cold: Nic, net: VirtioNet) -> None:
    """Empty at DRIVER_OK, filled before the count grows: its buffers are there for the frames that come then."""
    net.start(empty=range(1, 4))
    check_frames(nic_cold, 1)
    net.fill(1, 2, 3)
    assert used_pairs(net) <= {0}
    assert nic_cold.set_pairs(4)
    check_frames(nic_cold, 4)


@requirement("NET-RING-04")
def test_ring_filled_after_its_pair_is_active(nic_cold: Nic, net: VirtioNet) -> None:
    """Empty when the count grows, filled then, as Linux does: from then on frames arrive, and after a shrink again."""
    net.start(empty=range(1, 4))
    assert nic_cold.set_pairs(4)
    net.fill(1, 2, 3)
    check_frames(nic_cold, 4)
    assert nic_cold.set_pairs(1)
    check_frames(nic_cold, 1)
    assert nic_cold.set_pairs(4)
    check_frames(nic_cold, 4)


@pytest.mark.parametrize("pairs", [1, 2, 3])
@requirement("NET-MQ-15")
def test_count_above_the_pairs_set_up_is_survived(nic_cold: Nic, net: VirtioNet, pairs: int) -> None:
    """Asked for more pairs than the driver set up, the VM lives, and a legal count works after it."""
    net.start(MULTIQUEUE, pairs=pairs)
    assert net.set_pairs(4).ack in (Ack.OK, Ack.ERR)
    nic_cold.vm.check_alive("more pairs were asked for than were set up")
    assert net.set_pairs(1)
    check_frames(nic_cold, 1)
