"""The contract does not depend on how the tap came about."""

import pytest

from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import Nic


@pytest.mark.backends("tap-fd", "tap-of-vmm")
@requirement("NET-HOST-01")
def test_contract_holds_for_every_kind_of_tap(nic: Nic) -> None:
    """One pair at first, then every count: with a tap handed over as descriptors, or made by the VMM itself."""
    assert nic.host().pairs == {0}
    for pairs in (3, 1, 4, 2):
        assert nic.set_pairs(pairs)
        check(nic, pairs)
    nic.reset()
    assert nic.host().pairs == {0}
