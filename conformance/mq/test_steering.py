"""Automatic receive steering (virtio 1.2, 5.1.6.5.6): a flow comes back where the driver sent it."""

import pytest

from harness.host.flows import flows
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = pytest.mark.drivers("probe", "linux")


@requirement("NET-AUTO-01")
def test_one_flow_stays_on_one_pair(nic: Nic) -> None:
    """200 frames of a single flow land on a single pair; many flows use them all."""
    assert nic.set_pairs(4)
    landed = nic.receive(flows(1), copies=200)
    assert landed.exactly_once
    assert len(landed.pairs) == 1, f"one flow should stay on one pair: {landed}"
    assert nic.receive(flows(64)).pairs == {0, 1, 2, 3}


@pytest.mark.parametrize("pairs", [2, 3, 4])
@requirement("NET-AUTO-04")
def test_unknown_flows_use_every_active_pair(nic: Nic, pairs: int) -> None:
    """Flows that the guest never sent are spread over all active pairs, and no other."""
    assert nic.set_pairs(pairs)
    landed = nic.receive(flows(128))
    assert landed.exactly_once
    assert landed.pairs == set(range(pairs))


@pytest.mark.parametrize("pair", [0, 1, 2, 3])
@requirement("NET-AUTO-02")
def test_flow_comes_back_where_it_was_sent(nic: Nic, pair: int) -> None:
    """After the guest sent flows on transmitq X, their frames arrive on receiveq X."""
    assert nic.set_pairs(4)
    assert nic.transmit(pair, flows(16)).exactly_once
    landed = nic.receive(flows(16))
    assert landed.exactly_once
    assert landed.pairs == {pair}


@requirement("NET-AUTO-03")
def test_flow_moves_with_its_transmitq(nic: Nic) -> None:
    """Sent on another transmitq later, a flow arrives on that pair's receiveq from then on."""
    assert nic.set_pairs(4)
    for pair in (3, 1, 2):
        assert nic.transmit(pair, flows(16)).exactly_once
        landed = nic.receive(flows(16))
        assert landed.pairs == {pair}


@requirement("NET-AUTO-05", "NET-MQ-05")
def test_flows_of_a_removed_pair_move_to_those_left(nic: Nic) -> None:
    """Flows learnt on pair 3 arrive, once it is inactive, on the pairs that are left."""
    assert nic.set_pairs(4)
    assert nic.transmit(3, flows(16)).exactly_once
    assert nic.receive(flows(16)).pairs == {3}
    assert nic.set_pairs(2)
    landed = nic.receive(flows(16))
    assert landed.exactly_once
    assert landed.pairs <= {0, 1}
