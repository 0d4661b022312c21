"""Several NICs of one VM have a count each."""

from collections.abc import Sequence

import pytest

from harness.host.flows import flows
from harness.register.mark import requirement
from harness.testbed.nic import Nic
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = [pytest.mark.backends("tap", "vhost-user"), needs(Ability.SEVERAL_NICS)]


@pytest.fixture
def nics(testbed: Testbed, driver: str, backend: str) -> Sequence[Nic]:
    """Two NICs of four pairs in one VM, both started."""
    made = testbed.cold_nics([NicPlan(), NicPlan()], driver, backend)
    for nic in made:
        nic.start()
    return made


@pytest.mark.drivers("probe", "linux")
@requirement("NET-HOST-03")
def test_counts_are_independent(nics: Sequence[Nic]) -> None:
    """Changing one NIC's count leaves the other's as it is, on the host and in frames."""
    first, second = nics
    assert first.set_pairs(2)
    assert second.set_pairs(3)
    assert first.set_pairs(4)
    assert first.host().pairs == {0, 1, 2, 3}
    assert second.host().pairs == {0, 1, 2}
    assert second.receive(flows(64)).pairs == {0, 1, 2}


@requirement("NET-HOST-03", "NET-RST-02")
def test_resets_are_independent(nics: Sequence[Nic]) -> None:
    """Resetting one NIC leaves the other's count as it is."""
    first, second = nics
    assert first.set_pairs(3)
    assert second.set_pairs(3)
    first.reset()
    assert first.host().pairs == {0}
    assert second.host().pairs == {0, 1, 2}
    assert second.receive(flows(64)).pairs == {0, 1, 2}
