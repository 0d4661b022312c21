"""A NIC behind the machine's virtual IOMMU: its device is told other addresses."""

from __future__ import annotations

import pytest

from harness.guest.answer import Ack
from harness.guest.probe.features import MULTIQUEUE, Feature
from harness.guest.probe.net import pairs_set
from harness.host.flows import flows
from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

BEHIND = NicPlan(4, MULTIQUEUE | Feature.ACCESS_PLATFORM, iommu=True)


@pytest.fixture
def nic(testbed: Testbed, backend: str) -> ProbeNic:
    """A NIC behind an IOMMU, its driver started; all of the guest's memory is mapped, elsewhere."""
    (nic,) = testbed.probe_nics([BEHIND], lambda pairs: testbed.backend(backend, pairs))
    nic.start()
    return nic


@needs(Ability.IOMMU)
@requirement("NET-IOM-01")
@pytest.mark.parametrize("pairs", [1, 2, 4])
def test_count_is_in_force_behind_an_iommu(nic: ProbeNic, pairs: int) -> None:
    """The device reads the count at the address that it is told, through the IOMMU, and obeys it."""
    assert nic.set_pairs(pairs)
    check(nic, pairs)


@needs(Ability.IOMMU)
@requirement("NET-IOM-01")
def test_refused_count_behind_an_iommu(nic: ProbeNic) -> None:
    """A count that is too large is refused there too, and the one before stays."""
    assert nic.set_pairs(2)
    assert not nic.set_pairs(5)
    check(nic, 2)


@needs(Ability.IOMMU)
@requirement("NET-IOM-01")
def test_every_active_pair_transmits_behind_an_iommu(nic: ProbeNic) -> None:
    """The frames that the guest sends are read through the IOMMU as well, on each pair that is active."""
    assert nic.set_pairs(4)
    for pair in range(4):
        assert nic.transmit(pair, flows(8)).exactly_once


@needs(Ability.IOMMU)
@requirement("NET-IOM-01", "NET-RST-01")
def test_reset_behind_an_iommu(nic: ProbeNic) -> None:
    """A reset brings one pair back; what is mapped is the IOMMU's, and stays."""
    assert nic.set_pairs(3)
    nic.reset()
    check(nic, 1)
    assert nic.set_pairs(4)
    check(nic, 4)


@needs(Ability.IOMMU)
@requirement("NET-IOM-01")
def test_unmapped_memory_is_out_of_reach(nic: ProbeNic) -> None:
    """A command at an address that the IOMMU does not map is not obeyed; after a reset one that it maps is."""
    net = nic.driver.net
    assert nic.set_pairs(2)
    net.queues[net.control_index].iova_offset = 0
    net.post_control(pairs_set(4))
    (answer,) = net.kick_control(within=0.5)
    assert answer.ack is not Ack.OK
    assert nic.host().pairs == {0, 1}
    nic.reset()
    assert nic.set_pairs(3)
    check(nic, 3)
