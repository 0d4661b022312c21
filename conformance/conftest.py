"""The ladder of fixtures: a build, a VM on it, a NIC in the state that a test starts from."""

from __future__ import annotations

import pytest

from harness.guest.linux.guest import LinuxGuest
from harness.guest.probe.features import CONTROL, PLAIN
from harness.guest.probe.net import VirtioNet
from harness.host import namespace
from harness.host.syscalls import Supervisor, supervisor_of
from harness.testbed.nic import LinuxNic, Nic, ProbeNic
from harness.testbed.testbed import NicPlan, Testbed
from harness.testbed.tunsetqueue import changes_otherwise

pytest_plugins = ("harness.run.plugin", "harness.lab.plugin")


@pytest.fixture
def configured_pairs() -> int:
    """Pairs that the NIC is configured with on the VMM. A test overrides it by parametrizing this name."""
    return 4


@pytest.fixture
def nic(testbed: Testbed, driver: str, backend: str, configured_pairs: int) -> Nic:
    """Multiqueue negotiated, all rings set up and filled, DRIVER_OK set, no count asked for yet.

    Linux is beyond that: it has asked for as many pairs as it has CPUs, which are as many as the NIC has pairs.
    """
    return testbed.nic(NicPlan(configured_pairs), driver, backend)


@pytest.fixture
def nic_cold(testbed: Testbed, driver: str, backend: str, configured_pairs: int) -> Nic:
    """The device is there, and no driver has touched it since the machine started but to look for it."""
    return testbed.cold_nic(NicPlan(configured_pairs), driver, backend)


@pytest.fixture
def supervisor(nic: Nic) -> Supervisor:
    """Who stands between the VMM and the kernel, in a test whose surroundings are supervised."""
    found = supervisor_of(nic.vm.process)
    assert found is not None
    return found


@pytest.fixture
def tunsetqueue(nic: Nic, supervisor: Supervisor) -> None:
    """Skips a VMM that changes the queues of a tap by other means than those that the supervisor sees."""
    if (why := changes_otherwise(nic, supervisor.calls)) is not None:
        pytest.skip(why)


@pytest.fixture
def own_sysfs() -> None:
    """Skips where /sys shows another network than that of the test, in which VMMs look a tap up."""
    if not namespace.has_own_sysfs():
        pytest.skip(
            "it needs a /sys that shows the run's own network, and this host lets no ordinary user mount one, "
            "for something is mounted on top of a part of /sys: run again with sudo"
        )


@pytest.fixture
def net(request: pytest.FixtureRequest) -> VirtioNet:
    """The raw driver of the test's NIC, in the state that the NIC's fixture hands over."""
    nic: ProbeNic
    (nic,) = (request.getfixturevalue(name) for name in request.fixturenames if name.startswith("nic"))
    return nic.driver.net


@pytest.fixture
def steps(request: pytest.FixtureRequest) -> int:
    """Length of a random walk."""
    return int(request.config.option.steps)


@pytest.fixture
def guest(nic: LinuxNic) -> LinuxGuest:
    """The Linux guest in which the test's NIC is. The interface has the name of the NIC's id."""
    return nic.driver.guest


@pytest.fixture
def nic_control(testbed: Testbed, driver: str, backend: str, configured_pairs: int) -> Nic:
    """As `nic`, with a control queue but multiqueue not negotiated, on a NIC that has several pairs."""
    return testbed.nic(NicPlan(configured_pairs, CONTROL), driver, backend)


@pytest.fixture
def nic_plain(testbed: Testbed, driver: str, backend: str, configured_pairs: int) -> Nic:
    """As `nic`, with neither multiqueue nor a control queue, as firmware does, on a NIC that has several pairs."""
    return testbed.nic(NicPlan(configured_pairs, PLAIN), driver, backend)
