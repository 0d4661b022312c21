"""The VMM's own system call filter stays on, and allows what the contract makes the VMM do."""

import pytest

from harness.register.mark import requirement
from harness.testbed.nic import Nic
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = pytest.mark.backends("tap", "vhost-user")


@needs(Ability.THREAD_FILTERS)
@requirement("NET-HOST-05")
def test_every_worker_is_filtered_and_lives(nic: Nic) -> None:
    """Through growth, shrinkage and a reset, each thread but the main one runs under a filter, and none dies."""
    for pairs in (4, 1, 3):
        assert nic.set_pairs(pairs)
    nic.reset()
    assert nic.set_pairs(4)
    modes = nic.vm.process.seccomp_modes()
    assert len(modes) > 1
    assert {thread for thread, mode in modes.items() if mode != 2} <= {nic.vm.pid}
    nic.vm.check_alive("its threads changed the count")
