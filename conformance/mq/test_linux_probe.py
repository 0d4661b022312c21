"""What Linux makes of a device when it finds it: it asks at once for as many pairs as there are CPUs online."""

from collections.abc import Iterator

import pytest

from harness.guest.linux.guest import LinuxGuest
from harness.host.changes import QueueCounts, VringsSwitched
from harness.host.flows import flows
from harness.lifecycle import check, check_frames
from harness.register.mark import requirement
from harness.testbed.nic import LinuxNic, Nic
from harness.testbed.testbed import NicPlan, Testbed

pytestmark = [pytest.mark.drivers("linux"), pytest.mark.backends("tap", "vhost-user")]

AT_ONE_PAIR = {QueueCounts(1, 3), VringsSwitched((2, 3, 4, 5, 6, 7), on=True)}
"""What a tap, and what vhost-user, tells of a host that was at the first pair alone and then at four."""
THIRD_CPU = "/sys/devices/system/cpu/cpu2/online"


@pytest.fixture
def nic_two_cpus(testbed: Testbed, driver: str, backend: str) -> LinuxNic:
    """A NIC of four pairs in a guest that has brought up two of its four CPUs."""
    (nic,) = testbed.linux_nics([NicPlan()], backend, kernel_options="maxcpus=2")
    nic.start()
    return nic


@pytest.fixture
def third_cpu(nic_two_cpus: LinuxNic) -> Iterator[None]:
    """The guest has brought up a CPU more."""
    guest = nic_two_cpus.driver.guest
    guest.check(f"echo 1 > {THIRD_CPU}")
    yield
    guest.check(f"echo 0 > {THIRD_CPU}")


@pytest.mark.issue_8306
@pytest.mark.parametrize("pairs", [1, 2, 3])
@requirement("NET-RST-02", "NET-FEAT-05", "NET-MQ-04")
def test_rebinding_starts_over(nic: Nic, guest: LinuxGuest, pairs: int) -> None:
    """Unbound at n pairs and bound again: the host goes by way of one pair to one for each of the four CPUs."""
    assert nic.set_pairs(pairs)
    nic.backend.changes()
    nic.driver.reset()
    assert pairs == 1 or AT_ONE_PAIR & set(nic.backend.changes())
    assert guest.channels(nic.config.id).current == 4
    check(nic, 4)


@pytest.mark.issue_8307
@requirement("NET-MTU-01", "NET-MQ-03", "NET-MQ-04", "NET-MQ-05")
def test_fewer_cpus_than_pairs(nic_two_cpus: LinuxNic) -> None:
    """With two CPUs of four it uses two pairs, host and frames as well, and more on request."""
    assert nic_two_cpus.driver.believed_pairs == {0, 1}
    check(nic_two_cpus, 2)
    assert nic_two_cpus.set_pairs(4)
    assert nic_two_cpus.receive(flows(64)).pairs == nic_two_cpus.host().pairs == {0, 1, 2, 3}


@pytest.mark.issue_8307
@pytest.mark.usefixtures("third_cpu")
@requirement("NET-MTU-01", "NET-RST-02", "NET-MQ-03")
def test_another_cpu_counts_from_the_next_bind_on(nic_two_cpus: LinuxNic) -> None:
    """A CPU that comes up leaves the count as it is; when the driver is bound anew, there is a pair for it."""
    assert nic_two_cpus.host().pairs == nic_two_cpus.driver.believed_pairs == {0, 1}
    nic_two_cpus.reset()
    assert nic_two_cpus.host().pairs == nic_two_cpus.driver.believed_pairs == {0, 1, 2}
    check_frames(nic_two_cpus, 3)


@pytest.mark.slow
@pytest.mark.parametrize("configured_pairs", [1, 3, 6])
@requirement("NET-MTU-01", "NET-CFG-01", "NET-MQ-04")
def test_contract_holds_for_every_size(nic: Nic, guest: LinuxGuest, configured_pairs: int) -> None:
    """With as many CPUs as pairs it uses them all; ethtool knows the maximum; each smaller count works."""
    assert guest.channels(nic.config.id).maximum == configured_pairs
    for pairs in range(configured_pairs, 0, -1):
        assert nic.set_pairs(pairs)
        assert nic.host().pairs == nic.driver.believed_pairs == set(range(pairs))
        landed = nic.receive(flows(64))
        assert landed.exactly_once
        assert landed.pairs <= set(range(pairs))
