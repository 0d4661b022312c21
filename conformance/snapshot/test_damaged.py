"""A snapshot that was damaged, or no longer fits its surroundings: refused in words, or a NIC that works."""

from typing import Any

import pytest

from harness.host.tap import Tap
from harness.lifecycle import DAMAGES, NUMBERS, OTHERS, Damage, Snapshot, attempt, check_safe, rewrite_count
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import Testbed
from harness.vmm.abilities import Ability, Need
from harness.vmm.needs import needs

pytestmark = needs(Ability.SNAPSHOT)


def _param(name: str, value: Any, *what: Need) -> Any:
    return pytest.param(value, id=name, marks=needs(*what))


@pytest.mark.parametrize("damage", [_param(each.name, each, *each.needs) for each in DAMAGES])
@requirement("NET-SNAP-05")
def test_damaged_snapshot(
    testbed: Testbed, nic: ProbeNic[Tap], snapshot_of_two: Snapshot, damage: Damage
) -> None:
    """What restored before the damage is refused after it, or starts safely."""
    spoilt = damage.apply(testbed, nic, snapshot_of_two)
    check_safe(nic, attempt(testbed, nic, spoilt))


@pytest.mark.parametrize(
    "value",
    [_param(name, value) for name, value in NUMBERS.items()]
    + [_param(name, value, Ability.OPEN_STATE) for name, value in OTHERS.items()],
)
@requirement("NET-SNAP-05")
def test_wrong_count(
    testbed: Testbed, nic: ProbeNic, recorded_count: tuple[str, ...], snapshot_of_two: Snapshot, value: Any
) -> None:
    """A recorded count that no build writes is refused, or the VM starts safely."""
    rewrite_count(snapshot_of_two, nic, recorded_count, value)
    check_safe(nic, attempt(testbed, nic, snapshot_of_two))


@pytest.mark.backends("tap-fd")
@pytest.mark.parametrize("descriptors", [1, 3, 5])
@requirement("NET-SNAP-05", "NET-HOST-01")
def test_wrong_number_of_descriptors(
    testbed: Testbed, nic: ProbeNic, snapshot_of_two: Snapshot, descriptors: int
) -> None:
    """A NIC of four pairs that is handed another number of descriptors is refused, or starts safely."""
    check_safe(nic, attempt(testbed, nic, snapshot_of_two, descriptors=descriptors))
