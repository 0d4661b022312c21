"""A VM that begins its life on one build and goes on under another: every build under test with every other."""

import pytest

from harness.lifecycle import check, check_all_active, count_fields, migrate, restore, save
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import Testbed
from harness.vmm.abilities import Ability
from harness.vmm.base import Vmm
from harness.vmm.needs import needs

pytestmark = needs(Ability.SNAPSHOT)

each_count = pytest.mark.parametrize("pairs", [1, 2, 3, 4])
copied_or_handed_over = pytest.mark.parametrize(
    "local",
    [
        pytest.param(False, id="copied"),
        pytest.param(
            True,
            id="local",
            marks=needs(Ability.LOCAL_MIGRATION),
        ),
    ],
)


def check_carried_over(nic: ProbeNic, pairs: int, recorded: bool) -> None:
    """The count is what it was, or all, for a state in which none is recorded."""
    if recorded:
        check(nic, pairs)
    else:
        check_all_active(nic)
    nic.reset()
    check(nic, 1)


@pytest.fixture
def recorded(testbed: Testbed, nic_of_writer: ProbeNic) -> bool:
    """Whether the writer records the count."""
    return bool(count_fields(testbed, nic_of_writer))


@each_count
@requirement("NET-SNAP-01", "NET-SNAP-02", "NET-SNAP-03")
def test_snapshot(testbed: Testbed, nic_of_writer: ProbeNic, vmm: Vmm, recorded: bool, pairs: int) -> None:
    """Saved by the writer, restored by the build under test: the recorded count, or all pairs if there is none."""
    assert nic_of_writer.set_pairs(pairs)
    restore(testbed, nic_of_writer, save(testbed, nic_of_writer), vmm=vmm)
    check_carried_over(nic_of_writer, pairs, recorded)


@needs(Ability.MIGRATION)
@copied_or_handed_over
@each_count
@requirement("NET-SNAP-01", "NET-SNAP-02", "NET-SNAP-03")
def test_migration(
    testbed: Testbed, nic_of_writer: ProbeNic, vmm: Vmm, recorded: bool, pairs: int, local: bool
) -> None:
    """Migrated to the build under test: the same, no frame on an inactive pair, and the source is gone."""
    assert nic_of_writer.set_pairs(pairs)
    source = nic_of_writer.vm
    migrate(testbed, nic_of_writer, vmm=vmm, local=local)
    assert source.exit_status() is not None
    check_carried_over(nic_of_writer, pairs, recorded)
