"""Notifications: which interrupt the device sends, judged by masked vectors and their pending bits."""

import pytest

from harness.guest.answer import Ack
from harness.guest.probe.msix import CONFIG_VECTOR, has_vectors, start_with_vectors
from harness.guest.probe.net import VirtioNet, pairs_set
from harness.guest.probe.transport import NO_VECTOR
from harness.guest.status import Status
from harness.host.flows import flows
from harness.register.mark import requirement
from harness.testbed.nic import Nic

of_the_vmm = pytest.mark.backends("tap", "vhost-user")
"""For what the VMM itself sends. A vhost-user back end's go to KVM directly, and do not show in pending bits."""


@pytest.fixture(autouse=True)
def able(nic_cold: Nic, net: VirtioNet) -> None:
    """Skip a device without vectors."""
    if not has_vectors(net.device):
        why = nic_cold.vm.vmm.withholds_vectors(nic_cold.config)
        pytest.skip(f"this device has no MSI-X, which a test of interrupts needs{why and f': {why}'}")


@requirement("NET-CFG-09")
def test_each_active_receiveq_has_its_own_vector(nic_cold: Nic, net: VirtioNet) -> None:
    """Frames on active pairs make their receiveqs' vectors due, and no other receiveq's; a reset unmaps them."""
    vectors = start_with_vectors(net)
    of_queue = vectors.of_queue
    assert net.set_pairs(2)
    assert nic_cold.receive(flows(64)).pairs == {0, 1}
    due = vectors.pending()
    assert due >= {of_queue[0], of_queue[2]}
    assert due & {of_queue[4], of_queue[6]} == set()
    net.reset()
    net.device.set_status(Status.ACKNOWLEDGE)
    assert {vectors.mapped(queue) for queue in of_queue} == {NO_VECTOR}


@of_the_vmm
@pytest.mark.parametrize("queues", [None, {0, 1, 8}], ids=["all-pairs-set-up", "one-pair-set-up"])
@pytest.mark.parametrize(("pairs", "ack"), [(1, Ack.OK), (99, Ack.ERR)], ids=["accepted", "refused"])
@requirement("NET-EVT-01")
def test_control_queue_sends_its_interrupt(
    nic_cold: Nic, net: VirtioNet, queues: set[int] | None, pairs: int, ack: Ack
) -> None:
    """A used command makes the control queue's own vector due, whatever the answer is."""
    vectors = start_with_vectors(net, queues=queues)
    assert vectors.pending() == set()
    assert net.set_pairs(pairs).ack is ack
    vectors.await_pending({vectors.of_queue[net.control_index]})


@requirement("NET-EVT-01")
def test_control_queue_is_silent_where_told(nic_cold: Nic, net: VirtioNet) -> None:
    """With NO_INTERRUPT in the available ring no interrupt comes for a command; receive queues still send theirs."""
    vectors = start_with_vectors(net)
    of_queue = vectors.of_queue
    net.queues[net.control_index].want_no_interrupts()
    assert net.set_pairs(2)
    assert nic_cold.receive(flows(64)).pairs == {0, 1}
    assert of_queue[0] in vectors.pending()
    assert of_queue[net.control_index] not in vectors.pending()


@of_the_vmm
@requirement("NET-CFG-05", "NET-CFG-09")
def test_a_count_sends_no_configuration_interrupt(nic_cold: Nic, net: VirtioNet) -> None:
    """Changing the count is no configuration change; its own interrupt comes all the same."""
    vectors = start_with_vectors(net)
    of_queue = vectors.of_queue
    for pairs in (4, 2):
        assert net.set_pairs(pairs)
    assert of_queue[net.control_index] in vectors.pending()
    assert CONFIG_VECTOR not in vectors.pending()


@of_the_vmm
@requirement("NET-RST-11", "NET-MQ-22")
def test_device_that_needs_a_reset_says_so(nic_cold: Nic, net: VirtioNet) -> None:
    """A device that sets DEVICE_NEEDS_RESET while it runs sends a configuration change notification."""
    vectors = start_with_vectors(net)
    assert CONFIG_VECTOR not in vectors.pending()
    answer = net.control(pairs_set(2), [])
    if not answer.status & Status.NEEDS_RESET:
        pytest.skip("this device does not ask for a reset over a command without a place for the ack")
    assert CONFIG_VECTOR in vectors.pending()
