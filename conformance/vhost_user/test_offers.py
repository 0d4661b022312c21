"""Back ends that offer more, less, or an older protocol than the VMM was told to expect."""

from collections.abc import Callable

import pytest

from harness.errors import VmmDied
from harness.guest.probe.features import MULTIQUEUE, PLAIN, Feature
from harness.guest.status import Status
from harness.host.flows import flows
from harness.host.vhost_user.features import ProtocolFeature, VirtioFeature, mask
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.offer import Offer
from harness.host.vhost_user_backend import VhostUser
from harness.lifecycle import check_receives, check_refusal
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = pytest.mark.backends("vhost-user")

GENEROUS = (VirtioFeature.NET_HASH_REPORT, VirtioFeature.NET_RSS, VirtioFeature.RING_PACKED)
Plug = Callable[[Offer], ProbeNic[VhostUser]]


@pytest.fixture
def plug(testbed: Testbed, driver: str, backend: str) -> Plug:
    """Starts a VM with a NIC of four pairs on a back end with this offer; its driver is bound and not started."""
    return lambda offer: testbed.probe_nics([NicPlan()], lambda _: testbed.vhost_user(4, offer))[0]


def offered(nic: ProbeNic) -> Feature:
    """The features that the device offers to the driver."""
    net = nic.driver.net
    net.device.reset()
    net.device.set_status(Status.ACKNOWLEDGE | Status.DRIVER)
    return net.device.offered()


@requirement("NET-RSS-01", "VU-03")
def test_features_without_support_do_not_reach_the_guest(plug: Plug) -> None:
    """HASH_REPORT, RSS and packed rings of a back end are not offered by a VMM without them, nor acknowledged."""
    nic = plug(Offer(4, resume_at_used=True).plus(*GENEROUS))
    assert Feature.MQ in offered(nic)
    assert not offered(nic) & mask(GENEROUS), f"offered are {offered(nic)!r}: expected none of {GENEROUS}"
    nic.start()
    assert not nic.backend.end.acked_features & mask(GENEROUS)


@requirement("VU-21")
def test_bit_of_the_protocol_does_not_reach_the_guest(plug: Plug) -> None:
    """F_PROTOCOL_FEATURES is used between VMM and back end, and not offered to the driver."""
    nic = plug(Offer(4, resume_at_used=True))
    assert nic.backend.end.acked_protocol_features
    assert Feature.MQ in offered(nic)
    assert Feature.PROTOCOL_FEATURES not in offered(nic)


@pytest.mark.parametrize(
    "missing", [VirtioFeature.NET_CTRL_VQ, VirtioFeature.NET_MQ], ids=lambda bit: bit.name
)
@requirement("NET-FEAT-01", "NET-FEAT-02")
def test_multiqueue_is_offered_with_a_control_queue_only(plug: Plug, missing: VirtioFeature) -> None:
    """Whatever the back end lacks, the device offers MQ only beside CTRL_VQ, and a driver without them works."""
    nic = plug(Offer(4, resume_at_used=True).minus(missing))
    if Feature.MQ in offered(nic):
        assert Feature.CTRL_VQ in offered(nic)
    nic.driver.net.start(PLAIN)
    check_receives(nic)


@needs(Ability.JUDGES_BACK_ENDS)
@requirement("VU-06")
def test_fewer_queues_than_asked_are_refused(plug: Plug, testbed: Testbed, driver: str) -> None:
    """A back end of two pairs for a NIC of four: the VMM ends in words; one of four serves."""
    with pytest.raises(VmmDied) as refused:
        plug(Offer(2))
    check_refusal(refused.value)
    assert "ueue" in refused.value.output, f"the refusal should speak of queues: {refused.value}"
    plug(Offer(4, resume_at_used=True)).start()


@needs(Ability.JUDGES_BACK_ENDS)
@requirement("VU-06")
def test_queues_are_not_asked_for_without_the_feature(testbed: Testbed, plug: Plug) -> None:
    """Without PROTOCOL_F_MQ a back end has one pair: GET_QUEUE_NUM is not sent, and a NIC of four pairs is refused."""
    with pytest.raises(VmmDied) as refused:
        plug(Offer(4).minus(ProtocolFeature.MQ))
    check_refusal(refused.value)
    assert "ueue" in refused.value.output, f"the refusal should speak of queues: {refused.value}"


@needs(Ability.JUDGES_BACK_ENDS)
@requirement("VU-06")
def test_number_of_queues_in_pairs_or_vrings(plug: Plug) -> None:
    """GET_QUEUE_NUM answered in pairs. Reading it as pairs all four work; reading it as vrings the NIC is refused.

    The text leaves the unit open, so either is right; a NIC that starts and lacks pairs is not.
    """
    try:
        nic = plug(Offer(4, queue_num_counts_pairs=True, resume_at_used=True))
    except VmmDied as refused:
        check_refusal(refused)
        return
    nic.start()
    assert nic.set_pairs(4)
    assert nic.receive(flows(64)).pairs == {0, 1, 2, 3}


@needs(Ability.JUDGES_BACK_ENDS)
@requirement("VU-02", "VU-03")
def test_back_end_without_protocol_features(testbed: Testbed, plug: Plug) -> None:
    """Such a back end cannot be told which rings are enabled: the NIC is refused, or runs with one pair.

    Older text enables each ring as it starts, newer text all at once; no VMM can tell, so none is judged by it.
    SET_VRING_ENABLE is not sent in any case.
    """
    try:
        nic = plug(Offer(4, resume_at_used=True).minus(VirtioFeature.PROTOCOL_FEATURES))
    except VmmDied as refused:
        check_refusal(refused)
        return
    nic.driver.net.start(MULTIQUEUE if Feature.MQ in offered(nic) else PLAIN)
    assert nic.backend.end.log.entries(Kind.SET_VRING_ENABLE) == []
    assert nic.receive(flows(64)).pairs == nic.host().pairs == {0}
