"""The contract does not depend on how the tap came about."""

import pytest

from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import Nic


@pytest.mark.backends("tap-fd", "tap-of-vmm", "macvtap", "vhost-net")
@requirement("NET-HOST-01")
def test_contract_holds_for_every_kind_of_tap(nic: Nic) -> None:
    """One pair at first, then every count: handed over as descriptors, made by the VMM, a macvtap, with vhost-net."""
    assert nic.host().pairs == {0}
    for pairs in (3, 1, 4, 2):
        assert nic.set_pairs(pairs)
        check(nic, pairs)
    nic.reset()
    assert nic.host().pairs == {0}
