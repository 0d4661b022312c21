"""NICs of other sizes: one pair, few, an odd number, many."""

import pytest

from harness.host.flows import flows
from harness.lifecycle import check_receives
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = pytest.mark.backends("tap", "vhost-user")

MANY = 32
"""More than most guests have CPUs; every VMM tried so far allows it."""


@pytest.mark.parametrize("configured_pairs", [2, 3, 8, MANY])
@requirement("NET-MTU-01", "NET-MQ-01", "NET-MQ-04")
def test_contract_holds_for_every_size(nic: Nic, configured_pairs: int) -> None:
    """One pair at first; then all, and one less: held by the host, and frames on no other."""
    assert nic.host().pairs == {0}
    for pairs in (configured_pairs, configured_pairs - 1):
        assert nic.set_pairs(pairs)
        assert nic.host().pairs == set(range(pairs))
        landed = nic.receive(flows(64), copies=4)
        assert landed.exactly_once
        assert landed.pairs <= set(range(pairs))
    assert not nic.set_pairs(configured_pairs + 1)


@pytest.mark.parametrize("configured_pairs", [1])
@requirement("NET-MTU-01", "NET-FEAT-02")
def test_single_pair_receives_and_transmits(nic_control: Nic, configured_pairs: int) -> None:
    """A NIC of one pair has nothing to activate, and works."""
    check_receives(nic_control)
    assert nic_control.transmit(0, flows(64)).exactly_once
