"""VQ_PAIRS_SET with illegal counts: refused, and nothing changes.

No version of the specification says what a device answers to a count that a driver must not send; that it
refuses, and keeps what was in force, is quality of implementation (cloud-hypervisor PR 8755, and QEMU does).
"""

import pytest

from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = pytest.mark.backends("tap", "vhost-user")

ILLEGAL = {
    "zero": 0,
    "max+1": 5,
    "byte-swapped-1": 0x0100,
    "0x8000": 0x8000,
    "0x8001": 0x8001,
    "0xffff": 0xFFFF,
}
every_illegal_count = pytest.mark.parametrize("count", ILLEGAL.values(), ids=ILLEGAL)


@every_illegal_count
@requirement("NET-MQ-10", "NET-MQ-11", "NET-MQ-12")
def test_illegal_count_is_refused(nic: Nic, count: int) -> None:
    """0 and everything above max_virtqueue_pairs is answered ERR; a legal count still works after it."""
    assert not nic.set_pairs(count)
    assert nic.set_pairs(2)


@every_illegal_count
@requirement("NET-MQ-13")
def test_refused_count_changes_nothing(nic: Nic, count: int) -> None:
    """With two pairs active, a refused count leaves host and frames as they were."""
    assert nic.set_pairs(2)
    assert nic.host().pairs == {0, 1}
    assert not nic.set_pairs(count)
    check(nic, 2)


@requirement("NET-FEAT-06")
def test_count_is_refused_without_multiqueue(nic_control: Nic) -> None:
    """VQ_PAIRS_SET belongs to multiqueue: where that was not negotiated, no count is accepted."""
    assert not nic_control.set_pairs(1)
    assert not nic_control.set_pairs(2)
