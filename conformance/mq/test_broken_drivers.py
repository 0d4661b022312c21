"""A driver that is broken, or hostile: registers out of range, and chains that no device can use.

The device may ignore it, or ask for a reset; the VMM lives, and a driver that is right works after it.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from harness.errors import DeadlineExceeded
from harness.guest.answer import Ack
from harness.guest.probe.bus import write
from harness.guest.probe.features import MULTIQUEUE
from harness.guest.probe.msix import CONFIG_VECTOR, has_vectors, prepare_with_vectors, start_with_vectors
from harness.guest.probe.net import HEADER, VirtioNet, pairs_set
from harness.guest.probe.transport import NO_VECTOR, Common, Structure
from harness.guest.probe.virtqueue import Buffer, Virtqueue
from harness.guest.status import Status
from harness.host.flows import flows
from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic

PAIRS = 4
NOWHERE = 1 << 40
"""An address at which the guest has no memory."""
SMALL = 64
came_to_driver_ok = pytest.mark.parametrize("ok", [True, False], ids=["after-driver-ok", "before-driver-ok"])


def check_next_driver(nic: ProbeNic) -> None:
    """The VMM lives, and a driver that starts anew has every pair."""
    nic.vm.check_alive("a driver was broken")
    nic.reset()
    assert nic.set_pairs(PAIRS)
    nic.receive(flows(64))  # frames that waited for the broken driver come now
    check(nic, PAIRS)
    assert nic.transmit(PAIRS - 1, flows(16)).exactly_once


@pytest.mark.parametrize("index", [9, 64, 0x7FFF, 0xFFFF])
@pytest.mark.backends("tap", "vhost-user")
@requirement("NET-BAD-01", "NET-CFG-08")
def test_queue_that_does_not_exist_is_selected(nic: ProbeNic, net: VirtioNet, index: int) -> None:
    """Each of its registers is written: nothing happens, its size is 0, and the queues that exist work on."""
    device = net.device
    select = device.put(Common.QUEUE_SELECT, 2, index)
    for register in (Common.QUEUE_SIZE, Common.QUEUE_VECTOR, Common.QUEUE_ENABLE):
        if device.transport.has(register):
            device.bus.run([select, device.put(register, 2, 1)])
    for register in (Common.QUEUE_DESC, Common.QUEUE_DRIVER, Common.QUEUE_DEVICE):
        device.bus.run([select, device.put(register, 4, 0x1000)])
    size = device.queue_facts([index])[0].size
    assert size == 0, f"virtqueue {index} does not exist, and its queue_size reads {size}: expected 0"
    nic.vm.check_alive("a queue that does not exist was selected")
    assert nic.set_pairs(PAIRS)
    check(nic, PAIRS)


@pytest.mark.parametrize("vector", [200, 2047, 0xFFFE])
@requirement("NET-BAD-02")
def test_vector_that_does_not_exist(nic: ProbeNic, net: VirtioNet, vector: int) -> None:
    """Mapped to a queue that is in use: the device reads NO_VECTOR back, or it, or the one before, and lives."""
    if not has_vectors(net.device):
        pytest.skip("this device has no MSI-X")
    vectors = start_with_vectors(net)
    known = (NO_VECTOR, vector, vectors.of_queue[0])
    assert vectors.map_queues({net.control_index: vector, 0: vector})[0] in known
    assert net.set_pairs(PAIRS)
    assert nic.receive(flows(64)).exactly_once
    check_next_driver(nic)


@came_to_driver_ok
@requirement("NET-RST-04", "NET-BAD-03")
def test_reset_disables_queues(nic: ProbeNic, net: VirtioNet, ok: bool) -> None:
    """queue_enable reads 0, whether the driver came to DRIVER_OK or not."""
    _leave(net, ok)
    assert net.device.queue_facts([0])[0].enabled
    net.reset()
    net.device.set_status(Status.ACKNOWLEDGE)
    enabled = net.device.queue_facts([0])[0].enabled
    assert not enabled, "queue_enable of virtqueue 0 reads 1 after a reset: expected 0"
    check_next_driver(nic)


@came_to_driver_ok
@requirement("NET-BAD-03")
def test_reset_clears_queue_sizes(nic_cold: ProbeNic, net: VirtioNet, ok: bool) -> None:
    """Small rings of a driver are gone, whether it came to DRIVER_OK or not."""
    if not net.device.transport.tells_queue_size:
        pytest.skip("virtio over MMIO tells the largest queue size alone")
    full = net.device.queue_facts([0])[0].size
    _leave(net, ok)
    size = net.device.queue_facts([0])[0].size
    assert size == SMALL != full, f"queue_size reads {size}, and the driver has written {SMALL}"
    net.reset()
    net.device.set_status(Status.ACKNOWLEDGE)
    size = net.device.queue_facts([0])[0].size
    assert size == full, f"queue_size reads {size} after a reset: expected {full}"
    check_next_driver(nic_cold)


@came_to_driver_ok
@requirement("NET-BAD-03")
def test_reset_clears_vectors(nic: ProbeNic, net: VirtioNet, ok: bool) -> None:
    """No queue, and no configuration change, has a vector of the driver before, whether it came to DRIVER_OK or not."""
    if not has_vectors(net.device):
        pytest.skip("this device has no MSI-X")
    vectors = prepare_with_vectors(net)
    if ok:
        net.set_driver_ok()
    assert (vectors.mapped_config(), vectors.mapped(0)) == (CONFIG_VECTOR, vectors.of_queue[0])
    net.reset()
    net.device.set_status(Status.ACKNOWLEDGE)
    found = vectors.mapped_config(), vectors.mapped(0)
    assert found == (NO_VECTOR, NO_VECTOR), (
        f"after a reset the vectors read {found}: expected {NO_VECTOR} twice"
    )
    check_next_driver(nic)


def _leave(net: VirtioNet, ok: bool) -> None:
    """Be a driver with small rings."""
    net.prepare(MULTIQUEUE, ring=SMALL)
    if ok:
        net.set_driver_ok()


def _descriptor(queue: Virtqueue, address: int, length: int, flags: int, following: int) -> None:
    """Write the first descriptor of a queue, and offer it."""
    memory = queue.memory
    memory.write(queue.descriptors, struct.pack("<QIHH", address, length, flags, following))
    memory.set16(queue.available + 4 + 2 * (memory.get16(queue.available + 2) % queue.size), 0)
    memory.set16(queue.available + 2, memory.get16(queue.available + 2) + 1 & 0xFFFF)


UNUSABLE = {
    "device-writable": Buffer(0x1000, 64, True),
    "no-length": Buffer(0x1000, 0, False),
    "no-memory-there": Buffer(NOWHERE, 64, False),
    "longer-than-memory": Buffer(0x1000, 0xFFFFFFFF, False),
}

CHAINS: dict[str, Callable[[Virtqueue], object]] = {
    **{name: partial(Virtqueue.add, buffers=[buffer]) for name, buffer in UNUSABLE.items()},
    "in-a-circle": lambda queue: _descriptor(queue, 0x1000, 64, 1, 0),
    "next-out-of-range": lambda queue: _descriptor(queue, 0x1000, 64, 1, 0xFFFF),
    "indirect-not-negotiated": lambda queue: _descriptor(queue, 0x1000, 64, 4, 0),
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
@pytest.mark.parametrize("index", [7, 8], ids=["transmitq", "control-queue"])
@requirement("NET-BAD-04", "NET-MQ-22")
def test_chain_that_no_device_can_use(
    nic: ProbeNic, net: VirtioNet, index: int, chain: Callable[[Virtqueue], object]
) -> None:
    """On a queue that the device reads: ignored, given back, or a reset is asked for; the next driver has all."""
    assert nic.set_pairs(PAIRS)
    queue = net.queues[index]
    chain(queue)
    if queue.outstanding:
        queue.publish()
    net.device.notify(index)
    net.device.queue_facts(range(8))  # round trips: time in which the device looks at it
    check_next_driver(nic)


@pytest.mark.parametrize("buffer", UNUSABLE.values(), ids=UNUSABLE)
@requirement("NET-BAD-06")
def test_buffer_that_no_device_can_use_is_not_kept(nic: ProbeNic, net: VirtioNet, buffer: Buffer) -> None:
    """On a transmitq: it comes back, or a reset is asked for; after some more of them the ring would be empty."""
    assert nic.set_pairs(PAIRS)
    assert nic.transmit(PAIRS - 1, flows(16)).exactly_once
    queue = net.queues[2 * PAIRS - 1]
    queue.add([buffer])
    queue.publish()
    net.device.notify(queue.index)
    with suppress(DeadlineExceeded):  # a device that asks for a reset need not
        net.await_return(queue)
    kept = queue.outstanding and not net.device.status & Status.NEEDS_RESET
    assert not kept, "a buffer that no device can use is kept, and no reset is asked for"


@pytest.mark.parametrize("length", [1, HEADER - 1, HEADER, HEADER + 20])
@requirement("NET-BAD-04")
def test_receive_buffers_that_hold_no_frame(nic: ProbeNic, net: VirtioNet, length: int) -> None:
    """Frames come for buffers that are too small: lost or cut, or a reset is asked for; the next driver has all."""
    net.start(MULTIQUEUE, buffer=length)
    assert net.set_pairs(PAIRS)
    nic.send(flows(64))
    net.device.notify(0)
    nic.vm.check_alive("receive buffers were too small")
    check_next_driver(nic)


@pytest.mark.parametrize("index", [0, 1, 8], ids=["receiveq", "transmitq", "control-queue"])
@requirement("NET-BAD-05")
def test_queue_without_memory_is_survived(nic_cold: ProbeNic, net: VirtioNet, index: int) -> None:
    """A queue is enabled whose used ring lies beyond memory: DRIVER_OK is survived, and the next driver works."""
    net.prepare(MULTIQUEUE)
    device = net.device
    select = device.put(Common.QUEUE_SELECT, 2, index)
    high = device.at(Structure.COMMON, Common.QUEUE_DEVICE) + 4
    device.bus.run([select, write(4, high, NOWHERE >> 32), device.put(Common.QUEUE_ENABLE, 2, 1)])
    device.driver_ok()
    device.notify(0, 1, net.control_index)
    device.queue_facts(range(8))
    check_next_driver(nic_cold)


@pytest.mark.parametrize("width", [1, 4])
@requirement("NET-BAD-01")
def test_doorbell_of_another_width(nic: ProbeNic, net: VirtioNet, width: int) -> None:
    """The VMM lives, and a doorbell of the right width is heard after it."""
    bell = net.device.doorbell(net.control_index)
    net.post_control(pairs_set(PAIRS))
    net.queues[net.control_index].publish()
    net.bus.run([write(width, bell.address, net.control_index)])
    net.device.notify(net.control_index)
    assert [answer.ack for answer in net.await_control()] == [Ack.OK]
    check(nic, PAIRS)
