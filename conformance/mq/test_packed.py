"""Counts, resets and pauses on packed virtqueues are what they are on split ones (virtio 1.2, 2.8)."""

from __future__ import annotations

import pytest

from harness.guest.probe.features import MULTIQUEUE, Feature
from harness.guest.probe.net import pairs_set
from harness.host.flows import flows
from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

PACKED = NicPlan(4, MULTIQUEUE | Feature.RING_PACKED)

pytestmark = needs(Ability.PACKED_RINGS)


@pytest.fixture
def nic(testbed: Testbed, backend: str) -> ProbeNic:
    """A NIC whose driver has negotiated packed virtqueues, and started it."""
    (nic,) = testbed.probe_nics([PACKED], lambda pairs: testbed.backend(backend, pairs))
    nic.start()
    return nic


@requirement("NET-PKD-01", "NET-MQ-01")
def test_one_pair_at_start_on_packed_rings(nic: ProbeNic) -> None:
    """Until the driver asks, the first pair alone is active."""
    check(nic, 1)


@requirement("NET-PKD-01", "NET-MQ-05")
@pytest.mark.parametrize("pairs", [1, 2, 3, 4])
def test_count_is_in_force_on_packed_rings(nic: ProbeNic, pairs: int) -> None:
    """The count that is acknowledged is in force."""
    assert nic.set_pairs(pairs)
    check(nic, pairs)


@requirement("NET-PKD-01", "NET-MQ-10", "NET-MQ-11")
@pytest.mark.parametrize("count", [0, 5, 0xFFFF])
def test_count_is_refused_on_packed_rings(nic: ProbeNic, count: int) -> None:
    """One that no device has is refused, and the one before stays."""
    assert nic.set_pairs(2)
    assert not nic.set_pairs(count)
    check(nic, 2)


@requirement("NET-PKD-01", "NET-MQ-19")
def test_several_commands_of_one_kick_on_packed_rings(nic: ProbeNic) -> None:
    """Each of several commands is answered, in their order, and the last count is in force."""
    for pairs in (2, 4, 3):
        nic.driver.net.post_control(pairs_set(pairs))
    assert all(nic.driver.net.kick_control(3))
    check(nic, 3)


@requirement("NET-PKD-01")
def test_many_changes_on_packed_rings(nic: ProbeNic) -> None:
    """More commands than the control queue has descriptors: it is still right after its end was passed."""
    for i in range(300):
        assert nic.set_pairs(i % 4 + 1)
    assert nic.set_pairs(2)
    check(nic, 2)


@requirement("NET-PKD-01")
def test_every_pair_transmits_on_packed_rings(nic: ProbeNic) -> None:
    """What the guest sends on each active pair comes out, and its buffers come back."""
    assert nic.set_pairs(4)
    for pair in range(4):
        assert nic.transmit(pair, flows(8)).exactly_once


@requirement("NET-PKD-01", "NET-RST-01")
def test_reset_on_packed_rings(nic: ProbeNic) -> None:
    """After a reset one pair is active, and the rings begin anew."""
    assert nic.set_pairs(3)
    nic.reset()
    check(nic, 1)
    assert nic.set_pairs(4)
    check(nic, 4)


@requirement("NET-PKD-01", "NET-SNAP-04")
def test_pause_on_packed_rings(nic: ProbeNic) -> None:
    """A pause leaves the count and the rings' positions as they are."""
    assert nic.set_pairs(3)
    check(nic, 3)
    nic.vm.pause()
    nic.vm.resume()
    check(nic, 3)
