"""A device reset ends multiqueue: the next driver starts with one pair, whatever the last one had."""

import pytest

from harness.host.flows import flows
from harness.nic import Nic
from harness.requirements import requirement


@pytest.mark.issue_8307
@pytest.mark.parametrize("pairs", [2, 3, 4])
@requirement("NET-MQ-03", "NET-RST-02")
def test_reset_brings_one_pair(nic: Nic, pairs: int) -> None:
    """After a reset at n pairs and a new DRIVER_OK, pair 0 alone is attached and gets every frame."""
    assert nic.set_pairs(pairs)
    nic.reset()
    assert nic.host().pairs == {0}
    landed = nic.receive(flows(64))
    assert landed.whole, landed
    assert landed.pairs == {0}, landed


@pytest.mark.issue_8306
@requirement("NET-RST-02", "NET-MQ-04")
def test_counts_work_after_a_reset(nic: Nic) -> None:
    """What was negotiated anew can be used anew."""
    assert nic.set_pairs(3)
    nic.reset()
    assert nic.set_pairs(2)
    assert nic.host().pairs == {0, 1}
