"""What the tests of vhost-user messages start from."""

from __future__ import annotations

import pytest

from harness.guest.driver import GuestDriver
from harness.guest.probe.features import MULTIQUEUE
from harness.guest.probe.msix import a_vector_each
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user_backend import VhostUser
from harness.testbed.nic import Nic, ProbeNic


@pytest.fixture
def port(request: pytest.FixtureRequest) -> VhostUser:
    """The vhost-user back end of the test's NIC: it can be stopped and started."""
    nic: Nic[GuestDriver, VhostUser]
    (nic,) = (request.getfixturevalue(name) for name in request.fixturenames if name.startswith("nic"))
    return nic.backend


@pytest.fixture
def end(port: VhostUser) -> Backend:
    """The instrumented back end as such: its log of messages, its vrings, its faults."""
    return port.end


@pytest.fixture
def acknowledged(end: Backend) -> None:
    """Skips VMMs that do not ask whether SET_VRING_ENABLE succeeded: they cannot know."""
    enables = end.log.entries(Kind.SET_VRING_ENABLE)
    if enables and not any(entry.need_reply for entry in enables):
        pytest.skip("this VMM asks for no reply to SET_VRING_ENABLE, as the protocol allows")


@pytest.fixture
def nic_interrupting(nic_cold: ProbeNic) -> ProbeNic:
    """As `nic`, with an interrupt vector for each virtqueue, as drivers have that do not poll.

    DPDK serves no vring that has no call descriptor, and cloud-hypervisor sends one only for a queue with a vector.
    """
    net = nic_cold.driver.net
    net.prepare(MULTIQUEUE, vectors=a_vector_each)
    net.set_driver_ok()
    return nic_cold
