"""The VMM pauses and resumes a VM without the guest's knowledge: the count stays."""

import pytest

from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import Nic
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = [pytest.mark.backends("tap", "vhost-user"), needs(Ability.PAUSE)]


@pytest.mark.drivers("probe", "linux")
@pytest.mark.parametrize("pairs", [1, 2, 3, 4])
@requirement("NET-SNAP-04", "VU-15")
def test_pause_and_resume_keep_the_count(nic: Nic, pairs: int) -> None:
    """Host and frames are at n after a resume, without any new command."""
    assert nic.set_pairs(pairs)
    nic.vm.pause()
    nic.vm.resume()
    check(nic, pairs)
