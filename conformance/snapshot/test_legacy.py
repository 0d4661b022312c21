"""Snapshots from before the count was recorded: all pairs are active, as the build that wrote them had it."""

import pytest

from harness.lifecycle import check, check_all_active, legacy_form, restore, rewrite_count, save
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import Testbed
from harness.vmm.abilities import Ability
from harness.vmm.base import Vmm
from harness.vmm.needs import needs

pytestmark = needs(Ability.SNAPSHOT)

each_count = pytest.mark.parametrize("pairs", [1, 2, 4])


@pytest.fixture
def legacy(testbed: Testbed, nic: ProbeNic, recorded_count: tuple[str, ...], pairs: int) -> ProbeNic:
    """A NIC that was saved at so many pairs, and restored after the count was taken out of its saved state."""
    assert nic.set_pairs(pairs)
    snapshot = save(testbed, nic)
    rewrite_count(snapshot, nic, recorded_count, None)
    assert legacy_form(nic, snapshot), "it has the form of a snapshot that an older build wrote"
    restore(testbed, nic, snapshot)
    return nic


@needs(Ability.OPEN_STATE)
@each_count
@requirement("NET-SNAP-03")
def test_snapshot_without_a_count(legacy: ProbeNic) -> None:
    """All pairs are attached and frames reach the guest; the first command takes effect."""
    check_all_active(legacy)
    assert legacy.set_pairs(2)
    check(legacy, 2)


@needs(Ability.OPEN_STATE)
@each_count
@requirement("NET-SNAP-03", "NET-RST-02")
def test_reset_after_a_snapshot_without_a_count(legacy: ProbeNic) -> None:
    """The first reset brings one pair, and so does the next."""
    for _ in range(2):
        legacy.reset()
        check(legacy, 1)


@pytest.mark.legacy
@each_count
@requirement("NET-SNAP-03")
def test_snapshot_of_an_older_build(testbed: Testbed, nic_of_writer: ProbeNic, vmm: Vmm, pairs: int) -> None:
    """Written by an older build: all pairs are attached; the first command and then a reset count."""
    assert nic_of_writer.set_pairs(pairs)
    snapshot = save(testbed, nic_of_writer)
    assert legacy_form(nic_of_writer, snapshot), "an older build records no count"
    restore(testbed, nic_of_writer, snapshot, vmm=vmm)
    check_all_active(nic_of_writer)
    assert nic_of_writer.set_pairs(3)
    check(nic_of_writer, 3)
    nic_of_writer.reset()
    check(nic_of_writer, 1)
