"""The guest's kernel log: Linux writes there what it cannot tell anybody else."""

import pytest

from harness.guest.linux.guest import LinuxGuest
from harness.lifecycle import check_receives
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = [pytest.mark.drivers("linux"), pytest.mark.backends("tap", "vhost-user")]


@requirement("NET-MQ-04", "NET-MQ-25", "NET-FEAT-05")
def test_kernel_has_nothing_to_complain_of(nic: Nic, guest: LinuxGuest) -> None:
    """Counts, traffic and a rebind leave neither a warning nor an error; one that is there is found."""
    mark = guest.mark_log()
    for pairs in (1, 3, 2, 4):
        assert nic.set_pairs(pairs)
        check_receives(nic)
    nic.reset()
    assert guest.complaints(mark) == []
    guest.check("echo '<4>a warning' > /dev/kmsg")
    assert guest.complaints(mark) == ["a warning"]
