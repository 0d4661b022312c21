"""A device reset ends multiqueue: the next driver starts with one pair, whatever the last one had."""

import pytest

from harness.guest.answer import UNTOUCHED, Ack
from harness.guest.probe.features import CONTROL, MULTIQUEUE, PLAIN
from harness.guest.probe.net import VirtioNet, pairs_set
from harness.guest.status import Status
from harness.host.flows import flows
from harness.lifecycle import check, check_frames, check_receives
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = pytest.mark.backends("tap", "vhost-user")


@pytest.mark.issue_8307
@pytest.mark.parametrize("pairs", [2, 3, 4])
@requirement("NET-MQ-03", "NET-RST-02")
def test_reset_brings_one_pair(nic: Nic, pairs: int) -> None:
    """After a reset at n pairs and a new DRIVER_OK, pair 0 alone is attached and gets every frame."""
    assert nic.set_pairs(pairs)
    nic.reset()
    check(nic, 1)


@pytest.mark.issue_8306
@pytest.mark.drivers("probe", "linux")
@requirement("NET-RST-02", "NET-MQ-04")
def test_counts_work_after_a_reset(nic: Nic) -> None:
    """What was negotiated anew can be used anew."""
    assert nic.set_pairs(3)
    nic.reset()
    assert nic.set_pairs(2)
    assert nic.host().pairs == {0, 1}


STATES = {
    "acknowledge": Status.ACKNOWLEDGE,
    "driver": Status.ACKNOWLEDGE | Status.DRIVER,
    "failed": Status.ACKNOWLEDGE | Status.DRIVER | Status.FAILED,
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
@requirement("NET-RST-01", "NET-FEAT-05")
def test_reset_from_an_early_state(nic_cold: Nic, net: VirtioNet, state: Status) -> None:
    """The device can be reset, and then used, from any point of its initialisation."""
    net.device.reset()
    net.device.set_status(state)
    net.device.reset()
    net.start()
    assert net.set_pairs(2)
    check_receives(nic_cold)


@requirement("NET-RST-01", "NET-FEAT-05")
def test_reset_before_driver_ok(nic_cold: Nic, net: VirtioNet) -> None:
    """A driver that gives up with its queues set up leaves a device that works for the next."""
    assert net.prepare(MULTIQUEUE) & Status.FEATURES_OK
    net.start()
    assert net.set_pairs(2)
    check_receives(nic_cold)


@requirement("NET-RST-01", "NET-RST-09", "NET-RST-10")
def test_memory_is_left_alone_after_a_reset(nic: Nic, net: VirtioNet) -> None:
    """Once the status reads 0 no byte of rings and buffers changes, whatever is sent; before, frames arrived there."""
    assert nic.set_pairs(4)
    assert nic.receive(flows(64), copies=4).exactly_once
    before_arrival = net.memory_in_use()
    check_receives(nic)
    assert net.memory_in_use() != before_arrival
    net.reset()
    at_reset = net.memory_in_use()
    nic.send(flows(64))
    net.device.queue_facts(range(4))  # round trips: time in which a stray write would come
    assert net.memory_in_use() == at_reset


@requirement("NET-RST-10")
def test_reset_with_a_command_in_flight(nic: Nic, net: VirtioNet) -> None:
    """A reset right behind the doorbell leaves a device that, once all is settled, answers the next driver.

    Whether the command is overtaken is a race here; test_faults.py slows the kernel down, and judges what it leaves.
    """
    for _ in range(50):
        ack = net.post_control(pairs_set(4))
        net.publish_and_reset()
        assert net.bus.memory.read(ack, 1)[0] in (UNTOUCHED, Ack.OK, Ack.ERR)
        net.start()
    net.reset()
    nic.vm.await_threads()
    net.start()
    assert net.set_pairs(3).ack in (Ack.OK, Ack.ERR)


@requirement("NET-RST-05")
def test_driver_that_does_not_wait_for_the_reset(nic: Nic, net: VirtioNet) -> None:
    """A driver that sets the device up without reading status 0 first leaves the VM alive."""
    assert nic.set_pairs(4)
    net.device.set_status(Status(0))
    net.device.negotiate(MULTIQUEUE)
    nic.vm.check_alive("a driver did not wait for the reset")
    nic.reset()
    assert nic.set_pairs(2)


@pytest.mark.issue_8307
@requirement("NET-RST-06", "NET-MQ-03")
def test_chain_of_drivers(nic_cold: Nic, net: VirtioNet) -> None:
    """Firmware, an operating system with four pairs, firmware again, a raw driver: each has its own count."""
    for features, pairs in ((PLAIN, 1), (MULTIQUEUE, 4), (PLAIN, 1), (CONTROL, 1), (MULTIQUEUE, 3)):
        net.start(features)
        assert nic_cold.host().pairs == {0}
        if pairs > 1:
            assert net.set_pairs(pairs)
        check_frames(nic_cold, pairs)
