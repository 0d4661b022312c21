"""Live migration: chains of it, with frames under way, and when it fails."""

import pytest

from harness.errors import VmmError
from harness.host.flows import flows
from harness.lifecycle import CutLine, check, destination, migrate
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import Testbed
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = needs(Ability.MIGRATION)


@requirement("NET-SNAP-01")
def test_migrated_again_and_again(testbed: Testbed, nic: ProbeNic) -> None:
    """Each migration carries the count of its moment, and commands work in between."""
    for pairs in (3, 1, 4, 2):
        assert nic.set_pairs(pairs)
        migrate(testbed, nic)
        check(nic, pairs)


@requirement("NET-SNAP-01", "NET-SNAP-02")
def test_migrated_under_traffic(testbed: Testbed, nic: ProbeNic) -> None:
    """Frames that arrive all the while change nothing: afterwards the count stands, and the next reset ends it."""
    assert nic.set_pairs(2)
    with nic.flooded(flows(16)):
        migrate(testbed, nic)
    nic.reset()
    check(nic, 1)
    assert nic.set_pairs(3)
    check(nic, 3)


@pytest.mark.parametrize("limit", [0, 1 << 10, 100 << 10], ids=["at-once", "early", "midway"])
@requirement("NET-SNAP-06")
def test_failed_migration_leaves_the_source(testbed: Testbed, nic: ProbeNic, limit: int) -> None:
    """The line breaks: the source runs on at its count, obeys the next command, and can still be migrated."""
    assert nic.set_pairs(3)
    place = testbed.fresh_folder("line") / "line"
    with CutLine(place, destination(testbed, nic).place, limit), pytest.raises(VmmError):
        nic.vm.send_migration(place, local=False)
    assert nic.vm.state() == "running"
    check(nic, 3)
    assert nic.set_pairs(2)
    migrate(testbed, nic)
    check(nic, 2)


@requirement("NET-SNAP-06")
def test_nobody_receives(testbed: Testbed, nic: ProbeNic) -> None:
    """There is no destination: the source runs on at its count."""
    assert nic.set_pairs(3)
    with pytest.raises(VmmError):
        nic.vm.send_migration(testbed.fresh_folder("nobody") / "here", local=False)
    assert nic.vm.state() == "running"
    check(nic, 3)
