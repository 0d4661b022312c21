"""Resetting one queue at a time (VIRTIO_F_RING_RESET, virtio 1.2, 2.6.1), where the device offers it."""

import pytest

from harness.guest.probe.features import MULTIQUEUE, Feature
from harness.guest.probe.net import VirtioNet
from harness.guest.status import Status
from harness.host.flows import flows
from harness.register.mark import requirement
from harness.testbed.nic import Nic


@requirement("NET-RST-07")
def test_queue_under_reset_is_left_alone(nic_cold: Nic, net: VirtioNet) -> None:
    """Once its reset is done a receiveq is disabled and not used, while the others go on."""
    net.device.reset()
    net.device.set_status(Status.ACKNOWLEDGE | Status.DRIVER)
    if Feature.RING_RESET not in net.device.offered():
        pytest.skip("the device does not offer VIRTIO_F_RING_RESET")
    net.start(MULTIQUEUE | Feature.RING_RESET)
    assert net.set_pairs(2)
    assert nic_cold.receive(flows(64)).pairs == {0, 1}
    net.device.reset_queue(2)
    assert not net.device.queue_facts([2])[0].enabled
    before = net.queues[2].used_index
    assert nic_cold.receive(flows(64)).pairs <= {0}
    assert net.queues[2].used_index == before
