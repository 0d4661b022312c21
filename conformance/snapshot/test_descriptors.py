"""Taps that were handed over as descriptors, over a VM's life."""

import pytest

from harness.lifecycle import TRANSITIONS, Transition, check, save_and_restore
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import Testbed
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = pytest.mark.backends("tap-fd")

REBOOTS = [
    pytest.param(step, id=step.name, marks=needs(*step.needs))
    for step in TRANSITIONS
    if step.name.endswith("reboot")
]


@pytest.mark.parametrize("pairs", [1, 2, 4])
@pytest.mark.parametrize("reboot", REBOOTS)
@requirement("NET-HOST-01", "NET-RST-02")
def test_descriptors_over_a_reboot(testbed: Testbed, nic: ProbeNic, reboot: Transition, pairs: int) -> None:
    """With all and with fewer pairs active at the reboot: one pair afterwards, and every count works, twice."""
    for _ in range(2):
        assert nic.set_pairs(pairs)
        reboot.run(testbed, nic)
        check(nic, 1)
        assert nic.set_pairs(4)
        check(nic, 4)


@needs(Ability.SNAPSHOT)
@pytest.mark.parametrize("pairs", [1, 2, 4])
@requirement("NET-HOST-01", "NET-SNAP-01")
def test_descriptors_over_a_restore(testbed: Testbed, nic: ProbeNic, pairs: int) -> None:
    """Fresh descriptors are handed over with the snapshot: the count stands, and every other works, twice."""
    for _ in range(2):
        assert nic.set_pairs(pairs)
        save_and_restore(testbed, nic)
        check(nic, pairs)
        assert nic.set_pairs(3)
        check(nic, 3)
