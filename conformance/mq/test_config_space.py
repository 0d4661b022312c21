"""Configuration space and the layout of queues."""

import pytest

from harness.guest.answer import Ack
from harness.guest.probe.bus import write
from harness.guest.probe.features import CONTROL, MULTIQUEUE
from harness.guest.probe.net import CONFIG_MAX_PAIRS, VirtioNet
from harness.guest.probe.transport import Structure
from harness.guest.status import Status
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = pytest.mark.backends("tap", "vhost-user")


@requirement("NET-CFG-01", "NET-CFG-02", "NET-CFG-03")
def test_max_pairs_can_be_read_before_negotiation(nic_cold: Nic, net: VirtioNet) -> None:
    """max_virtqueue_pairs is the number that the VMM was given, and is readable before FEATURES_OK."""
    net.device.reset()
    net.device.set_status(Status.ACKNOWLEDGE | Status.DRIVER)
    assert net.max_pairs == nic_cold.max_pairs


@requirement("NET-CFG-04")
def test_max_pairs_is_read_only(nic: Nic, net: VirtioNet) -> None:
    """A driver that writes it changes nothing: not the field, and not which counts are legal."""
    field = net.device.at(Structure.DEVICE, CONFIG_MAX_PAIRS)
    net.bus.run([write(2, field, 1)])
    assert net.max_pairs == nic.max_pairs
    assert net.set_pairs(nic.max_pairs)
    assert not net.set_pairs(nic.max_pairs + 1)


@requirement("NET-CFG-05")
def test_a_count_changes_nothing_in_configuration_space(nic: Nic, net: VirtioNet) -> None:
    """Neither config_generation nor max_virtqueue_pairs moves with a VQ_PAIRS_SET."""
    before = (net.device.generation, net.max_pairs)
    for pairs in (4, 2, 3, 1):
        assert nic.set_pairs(pairs)
        assert (net.device.generation, net.max_pairs) == before


@requirement("NET-CFG-06")
def test_control_queue_is_at_twice_the_pairs(nic_cold: Nic, net: VirtioNet) -> None:
    """At 2N with multiqueue, at 2 without it: commands are answered there."""
    net.start(MULTIQUEUE, pairs=1)
    assert net.control_index == 2 * nic_cold.max_pairs
    assert net.set_pairs(1)
    net.start(CONTROL)
    assert net.control_index == 2
    assert net.set_pairs(1).ack in (Ack.OK, Ack.ERR)


@requirement("NET-CFG-07", "NET-CFG-08")
def test_queues_that_do_not_exist_have_no_size(nic: Nic, net: VirtioNet) -> None:
    """Every queue in use has a size; queue_size reads 0 from num_queues on."""
    assert net.device.num_queues > net.control_index
    facts = net.device.queue_facts(range(net.device.num_queues + 8))
    assert all(fact.size for fact in facts[: net.control_index + 1])
    assert not any(fact.size for fact in facts[net.device.num_queues :])


@pytest.mark.parametrize("pairs", [1, 4])
@requirement("NET-RST-04", "NET-RST-01")
def test_no_queue_is_enabled_after_a_reset(nic: Nic, net: VirtioNet, pairs: int) -> None:
    """queue_enable reads 1 for each queue in use, and 0 for all of them after a reset."""
    assert nic.set_pairs(pairs)
    indices = list(net.queues)
    assert all(fact.enabled for fact in net.device.queue_facts(indices))
    net.reset()
    net.device.set_status(Status.ACKNOWLEDGE)
    assert not any(fact.enabled for fact in net.device.queue_facts(indices))
