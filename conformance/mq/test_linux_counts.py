"""Pair counts as Linux's own driver sets them: what ethtool says, what the host holds, what the kernel counts.

Linux hides much: NAPI runs on every queue, so a frame on a pair that is not in use is delivered all the same, and
`ethtool -S` lists the queues in use alone. The total over all queues gives such frames away.
"""

from random import Random

import pytest

from harness.guest.linux.guest import LinuxGuest, Refused
from harness.host.flows import flows
from harness.lifecycle import check_frames, check_receives
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = [pytest.mark.drivers("linux"), pytest.mark.backends("tap", "vhost-user")]

fewer_pairs = pytest.mark.parametrize("pairs", [1, 2, 3])


@pytest.mark.issue_8306
@fewer_pairs
@requirement("NET-MQ-05", "NET-MQ-07")
def test_total_is_the_sum_of_the_queues_in_use(nic: Nic, guest: LinuxGuest, pairs: int) -> None:
    """Of 64 frames the queues in use count every one, so that none is left for the queues above."""
    assert nic.set_pairs(pairs)
    before = guest.received(nic.config.id)
    nic.send(flows(64))
    guest.await_received(nic.config.id, before.total + 64)
    came = guest.received(nic.config.id) - before
    assert came.above == 0, f"no queue above the first {pairs} should count a frame: {came}"
    assert sum(came.per_queue) == 64, f"the queues in use should count 64 frames: {came}"


@pytest.mark.issue_8306
@fewer_pairs
@requirement("NET-MQ-05", "NET-MQ-08")
def test_counters_above_the_count_stand_still(nic: Nic, guest: LinuxGuest, pairs: int) -> None:
    """Counters of the pairs above n, seen again once the count is raised, are what they were; those below moved."""
    assert nic.set_pairs(4)
    check_receives(nic)
    at_first = guest.received(nic.config.id).per_queue
    assert nic.set_pairs(pairs)
    check_receives(nic)
    assert nic.set_pairs(4)
    later = guest.received(nic.config.id).per_queue
    assert later[pairs:] == at_first[pairs:]
    assert all(now > then for now, then in zip(later[:pairs], at_first, strict=False))


@pytest.mark.issue_8306
@requirement("NET-MQ-05", "NET-MQ-07")
def test_nothing_is_lost_where_one_pair_has_buffers(nic: Nic, guest: LinuxGuest) -> None:
    """The kernel gives buffers to the queues in use when an interface comes up: at one pair, to the first alone."""
    guest.bind(guest.unbind(nic.config.id))
    assert nic.set_pairs(1)
    guest.check(f"ip link set {nic.config.id} up")
    check_frames(nic, 1)


@pytest.mark.parametrize("count", [0, 5], ids=["zero", "max+1"])
@requirement("NET-CFG-01")
def test_guest_refuses_counts_that_the_device_does_not_have(nic: Nic, guest: LinuxGuest, count: int) -> None:
    """It has read max_virtqueue_pairs: nothing changes, on the host neither, and a legal count works after it."""
    assert nic.set_pairs(3)
    nic.backend.changes()
    with pytest.raises(Refused):
        guest.set_channels(nic.config.id, count)
    channels = guest.channels(nic.config.id)
    assert (channels.maximum, channels.current) == (nic.max_pairs, 3)
    assert nic.backend.changes() == []
    assert nic.set_pairs(2)
    assert nic.host().pairs == {0, 1}


@pytest.mark.slow
@requirement("NET-MQ-25", "NET-MQ-05", "NET-MQ-13", "NET-RST-02")
def test_random_walk(nic: Nic, guest: LinuxGuest, rng: Random, steps: int) -> None:
    """Counts, rebinds, the interface down and up, and traffic both ways, in any order: the witnesses agree."""
    some = flows(16)
    for step in range(steps // 10):
        match rng.choices(["count", "rebind", "down", "receive", "transmit"], [40, 5, 10, 30, 15])[0]:
            case "count":
                assert nic.set_pairs(rng.randint(1, nic.max_pairs))
            case "rebind":
                nic.reset()
            case "down":
                guest.check(f"ip link set {nic.config.id} down && ip link set {nic.config.id} up")
            case "receive":
                assert nic.receive(some).exactly_once
            case "transmit":
                assert nic.transmit(rng.choice(sorted(nic.driver.believed_pairs)), some).exactly_once
        assert nic.witnesses().agree, f"after step {step} all should agree: {nic.witnesses()}"
