"""What a VMM tells its vhost-user back end when the driver starts the device."""

import pytest

from harness.guest.probe.features import CONTROL
from harness.guest.probe.net import VirtioNet
from harness.host.flows import flows
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.faults import Refuse
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.offer import Offer
from harness.lifecycle import check_receives
from harness.record.pairs import Vrings
from harness.register.mark import requirement
from harness.testbed.nic import Nic
from harness.testbed.testbed import NicPlan, Testbed

pytestmark = pytest.mark.backends("vhost-user")

ABOVE = range(2, 8)
"""The vrings above the first pair."""


@requirement("VU-09")
def test_no_ring_above_the_first_pair_is_enabled_for_a_moment(nic: Nic, end: Backend) -> None:
    """From the first message to the end of the activation only vrings 0 and 1 are ever enabled."""
    assert end.switched(on=True) == {0, 1}
    assert end.enabled_rings() == {0, 1}
    assert end.started_rings() >= {0, 1}


@requirement("VU-10", "NET-FEAT-02")
def test_one_pair_is_set_up_without_multiqueue(nic_control: Nic, end: Backend) -> None:
    """A driver that has one pair gets one: no other vring is started or enabled, not for a moment either."""
    assert end.started_rings() == {0, 1}
    assert end.enabled_rings() == {0, 1}
    assert end.switched(on=True) == {0, 1}


@requirement("VU-10", "NET-FEAT-02")
def test_strict_back_end_serves_a_driver_of_one_pair(nic_cold: Nic, net: VirtioNet, end: Backend) -> None:
    """A back end that refuses to enable or disable vrings which were never set up does no harm to the others."""
    for ring in ABOVE:
        end.arm(Refuse(Kind.SET_VRING_ENABLE, ring))
    net.start(CONTROL)
    check_receives(nic_cold)
    assert nic_cold.transmit(0, flows(64)).exactly_once


@requirement("VU-20")
def test_buffers_from_before_the_start_are_used(testbed: Testbed) -> None:
    """A back end that believes SET_VRING_BASE serves the buffers that the driver made available before DRIVER_OK."""
    (nic,) = testbed.probe_nics([NicPlan()], lambda pairs: testbed.vhost_user(pairs, Offer(pairs)))
    nic.start()
    check_receives(nic)


@requirement("VU-07")
def test_control_queue_stays_with_the_vmm(nic: Nic, end: Backend) -> None:
    """All data queues are described to the back end, each under its own index; the control queue never is."""
    assert nic.set_pairs(3)
    nic.reset()
    assert nic.set_pairs(nic.max_pairs)
    described = {entry.ring for entry in end.log if entry.ring is not None}
    assert Vrings(described, "the back end was told of") == set(range(2 * nic.max_pairs))
