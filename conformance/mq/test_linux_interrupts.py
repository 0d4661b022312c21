"""Interrupts tell which queues a device uses, whatever the driver makes of it: the published demonstration of 8306."""

import pytest

from harness.guest.linux.guest import LinuxGuest
from harness.lifecycle import check_receives
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = [
    pytest.mark.drivers("linux"),
    pytest.mark.backends("tap", "vhost-user"),
    pytest.mark.issue_8306,
]


def received_interrupts(nic: Nic, guest: LinuxGuest) -> list[int]:
    """Interrupts of each receive queue while 64 flows arrive, three frames of each."""
    before = guest.interrupts(nic.config.id).rx
    if not before:
        pytest.skip("this device has no MSI-X, so its queues share one interrupt")
    assert len(before) == nic.max_pairs
    for _ in range(3):
        check_receives(nic)
    after = guest.interrupts(nic.config.id).rx
    return [now - then for now, then in zip(after, before, strict=True)]


@pytest.mark.parametrize("pairs", [1, 2, 3])
@requirement("NET-MQ-05", "NET-MQ-07", "NET-CFG-09")
def test_no_interrupt_on_pairs_that_are_not_negotiated(nic: Nic, guest: LinuxGuest, pairs: int) -> None:
    """With four pairs each has interrupts; of four with n negotiated, those above n have none."""
    assert nic.set_pairs(4)
    assert all(received_interrupts(nic, guest))
    assert nic.set_pairs(pairs)
    found = received_interrupts(nic, guest)
    assert all(found[:pairs]), f"each of the first {pairs} pairs should have interrupts: {found}"
    elsewhere = sum(found[pairs:])
    assert elsewhere == 0, f"{elsewhere} of {sum(found)} interrupts were on pairs that are not negotiated"
