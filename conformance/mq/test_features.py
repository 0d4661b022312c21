"""Feature negotiation decides what VQ_PAIRS_SET may do, anew after each reset."""

import pytest

from harness.guest.answer import Ack
from harness.guest.probe.features import CONTROL, MULTIQUEUE, PLAIN, Feature
from harness.guest.probe.net import VirtioNet, pairs_set
from harness.guest.status import Status
from harness.host.flows import flows
from harness.lifecycle import check_frames
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = pytest.mark.backends("tap", "vhost-user")


@requirement("NET-FEAT-01", "NET-RSS-01")
def test_offered_features(nic_cold: Nic, net: VirtioNet) -> None:
    """MQ comes with CTRL_VQ; neither RSS nor HASH_REPORT is offered; VERSION_1 is."""
    net.device.reset()
    net.device.set_status(Status.ACKNOWLEDGE | Status.DRIVER)
    offered = net.device.offered()
    assert Feature.MQ in offered
    assert Feature.CTRL_VQ in offered
    assert Feature.VERSION_1 in offered
    assert not offered & (Feature.RSS | Feature.HASH_REPORT)


@requirement("NET-FEAT-03")
def test_multiqueue_without_control_queue_gives_one_pair(nic_cold: Nic, net: VirtioNet) -> None:
    """A driver may not accept MQ without CTRL_VQ: the device refuses at FEATURES_OK, or is one of one pair."""
    status = net.start(PLAIN | Feature.MQ)
    if status & Status.FEATURES_OK:
        assert nic_cold.host().pairs == {0}
        assert nic_cold.receive(flows(64)).pairs == {0}
    net.start(MULTIQUEUE)
    assert net.set_pairs(2)


@requirement("NET-FEAT-04", "NET-FEAT-06")
def test_multiqueue_is_off_after_a_reset_without_it(nic: Nic, net: VirtioNet) -> None:
    """What an earlier driver negotiated gives the next one no right to VQ_PAIRS_SET."""
    assert nic.set_pairs(3)
    net.start(CONTROL)
    assert not net.set_pairs(2)
    assert nic.host().pairs == {0}


@requirement("NET-FEAT-04")
def test_multiqueue_can_be_negotiated_after_a_driver_without_it(nic_control: Nic, net: VirtioNet) -> None:
    """The other way round: a driver that knows multiqueue follows one that did not."""
    net.start(MULTIQUEUE)
    assert net.set_pairs(4)
    assert nic_control.host().pairs == {0, 1, 2, 3}


@requirement("NET-FEAT-05")
def test_negotiation_can_be_repeated(nic: Nic, net: VirtioNet) -> None:
    """The same features are accepted again and again, and the count works each time."""
    for _ in range(20):
        assert net.start(MULTIQUEUE) & Status.DRIVER_OK
        assert net.set_pairs(2)
    assert nic.host().pairs == {0, 1}


@requirement("NET-FEAT-07")
def test_nothing_answers_without_a_control_queue(nic_cold: Nic, net: VirtioNet) -> None:
    """With CTRL_VQ not accepted, a command on the index where the control queue would be is not carried out."""
    net.start(CONTROL)
    assert not net.control(pairs_set(2))
    net.start(PLAIN, extra_queues=[2])
    net.control_index = 2
    answer = net.control(pairs_set(2))
    assert answer.ack is not Ack.OK
    assert nic_cold.host().pairs == {0}


@pytest.mark.parametrize("features", [PLAIN, CONTROL, MULTIQUEUE], ids=["neither", "control", "multiqueue"])
@requirement("NET-FEAT-02")
def test_every_subset_gives_a_working_device(nic_cold: Nic, net: VirtioNet, features: Feature) -> None:
    """The device takes the features, and frames arrive on the first pair."""
    assert net.start(features) & Status.DRIVER_OK
    check_frames(nic_cold, 1)
