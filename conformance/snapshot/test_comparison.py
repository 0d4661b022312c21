"""Saving, restoring and saving again without having run leaves the devices as they were."""

import pytest

from harness.guest.probe.net import VirtioNet
from harness.lifecycle import Snapshot, restore, resume_restored, save, save_paused
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import Testbed
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = needs(Ability.SNAPSHOT)


def differing(nic: ProbeNic, one: Snapshot, other: Snapshot) -> set[str]:
    """The devices whose saved states differ, or that only one of the snapshots knows."""
    first, second = (nic.vm.vmm.saved_devices(snapshot.folder) for snapshot in (one, other))
    assert len(first) > 1, "a VM has more devices than its NIC"
    names = first.keys() | second.keys()
    return {name for name in names if first.get(name) != second.get(name)}


@pytest.mark.parametrize("pairs", [1, 3, 4])
@requirement("NET-SNAP-07", "NET-SNAP-01")
def test_saved_again_without_having_run(testbed: Testbed, nic: ProbeNic, net: VirtioNet, pairs: int) -> None:
    """No device has changed but those that change by themselves; after a reset of the NIC, its device has."""
    assert nic.set_pairs(pairs)
    before = save(testbed, nic)
    restore(testbed, nic, before, resume=False)
    after = save_paused(testbed, nic)
    assert differing(nic, before, after) <= nic.vm.vmm.changes_by_itself
    after.discard()
    resume_restored(testbed, nic, before)
    net.reset()
    assert differing(nic, before, save(testbed, nic)) - nic.vm.vmm.changes_by_itself
