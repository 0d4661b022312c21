"""VQ_PAIRS_SET with legal counts: acknowledged, carried out on the host, and seen by frames."""

from random import Random

import pytest

from harness.host.changes import QueueCounts
from harness.lifecycle import check, check_frames
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = [pytest.mark.drivers("probe", "linux"), pytest.mark.backends("tap", "vhost-user")]
every_count = pytest.mark.parametrize("pairs", [1, 2, 3, 4])


@every_count
@requirement("NET-MQ-04", "NET-MQ-18")
def test_count_is_acknowledged(nic: Nic, pairs: int) -> None:
    """Every count from 1 to max_virtqueue_pairs is answered OK."""
    assert nic.set_pairs(pairs)


@every_count
@pytest.mark.issue_8306
@requirement("NET-MQ-04")
def test_host_attaches_the_first_pairs(nic: Nic, pairs: int) -> None:
    """Once the answer is there the host holds exactly the first n pairs, by count and queue by queue."""
    assert nic.set_pairs(pairs)
    assert nic.host().count == pairs
    assert nic.host().pairs == set(range(pairs))


@every_count
@pytest.mark.issue_8306
@requirement("NET-MQ-04", "NET-MQ-05")
def test_frames_land_on_active_pairs_only(nic: Nic, pairs: int) -> None:
    """After the answer every frame arrives, on pairs below n, and on each of them."""
    assert nic.set_pairs(pairs)
    check_frames(nic, pairs)


@pytest.mark.issue_8306
@requirement("NET-MQ-04", "NET-MQ-05", "NET-MQ-07", "NET-MQ-09")
def test_counts_in_random_order(nic: Nic, rng: Random) -> None:
    """Up, down and again the same: after each answer host and frames follow."""
    for pairs in rng.choices(range(1, nic.max_pairs + 1), k=12):
        assert nic.set_pairs(pairs)
        check(nic, pairs)


@pytest.mark.drivers("probe")
@pytest.mark.backends("tap")
@requirement("NET-MQ-28")
def test_pairs_change_one_way_only(nic: Nic) -> None:
    """From one to three pairs no queue is given up on the way, and from three to two none is taken."""
    for pairs, grows in ((3, True), (2, False)):
        nic.backend.changes()
        assert nic.driver.set_pairs(pairs)
        steps = [change.attached for change in nic.backend.changes() if isinstance(change, QueueCounts)]
        assert steps == sorted(steps, reverse=not grows), f"on the way to {pairs} the host held {steps} pairs"
        assert nic.host().count == pairs
