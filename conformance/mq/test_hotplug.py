"""A NIC that is plugged in while the VM runs obeys the same contract, also with a tap handed over as descriptors."""

import pytest

from harness.host.flows import flows
from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import Nic, ProbeNic
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = [pytest.mark.backends("tap", "tap-fd", "vhost-user"), needs(Ability.HOT_PLUG)]


@pytest.fixture
def plugged(testbed: Testbed, nic: ProbeNic) -> ProbeNic:
    """A second NIC of four pairs, plugged in beside a running one, its driver started."""
    fresh = testbed.plug(nic, NicPlan())
    fresh.start()
    return fresh


@requirement("NET-HOST-04")
def test_plugged_nic_starts_with_one_pair(plugged: Nic) -> None:
    """At its first DRIVER_OK the host holds pair 0 alone, and all frames arrive there."""
    check(plugged, 1)


@requirement("NET-HOST-04", "NET-HOST-03")
def test_plugged_nic_has_a_count_of_its_own(nic: Nic, plugged: Nic) -> None:
    """Its counts take effect, and leave the NIC that was there before as it is."""
    assert nic.set_pairs(2)
    for pairs in (4, 3):
        assert plugged.set_pairs(pairs)
        assert plugged.host().pairs == set(range(pairs))
        assert plugged.receive(flows(64)).pairs == set(range(pairs))
    assert nic.host().pairs == {0, 1}
    assert nic.receive(flows(64)).pairs == {0, 1}
