"""The driver as modern drivers are: EVENT_IDX, indirect descriptors, mergeable buffers, offloads.

Where a device does not offer a feature there is nothing to judge.
"""

import struct
from collections.abc import Callable

import pytest

from harness.deadline import wait_until
from harness.errors import Owner
from harness.guest.answer import Ack
from harness.guest.probe.features import MULTIQUEUE, Feature
from harness.guest.probe.msix import QueueVectors, start_with_vectors
from harness.guest.probe.net import HEADER, VirtioNet, pairs_set
from harness.guest.probe.transport import NO_VECTOR
from harness.guest.probe.virtqueue import Used, Virtqueue
from harness.guest.status import Status
from harness.host.flows import flows
from harness.host.tap import Tap
from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic

PAIRS = 4
COUNTS = (4, 2, 3, 1, 4, 4, 2)
FRAME = bytes.fromhex("02000000000102000000010088b5") + bytes(46)
ARMED_WITHIN = 1.0
"""Seconds in which a device that has nothing to do asks to be notified of more."""

Start = Callable[[Feature], VirtioNet]


@pytest.fixture
def offering(nic_cold: ProbeNic) -> Start:
    """Starts the driver with these features beside multiqueue; skips where the device does not offer them."""

    def start(features: Feature) -> VirtioNet:
        net = nic_cold.driver.net
        net.device.reset()
        net.device.set_status(Status.ACKNOWLEDGE | Status.DRIVER)
        if missing := features & ~net.device.offered():
            pytest.skip(f"the device does not offer {missing.name}")
        net.start(MULTIQUEUE | features)
        return net

    return start


def await_armed(queue: Virtqueue) -> None:
    """Wait until the device asks to be notified of the entry that was published last."""
    wait_until(
        f"virtqueue {queue.index} to ask for a notification",
        queue.needs_notification,
        owed_by=Owner.VMM,
        within=ARMED_WITHIN,
        last=lambda: f"avail_event {queue.avail_event}, used index {queue.used_index}",
    )


@requirement("NET-EVT-02")
def test_every_command_can_be_heard(nic_cold: ProbeNic, offering: Start) -> None:
    """A driver that rings only where avail_event asks for it is answered, command after command."""
    net = offering(Feature.EVENT_IDX)
    queue = net.queues[net.control_index]
    for pairs in (*COUNTS, 99, *COUNTS):
        net.post_control(pairs_set(pairs))
        queue.publish()
        await_armed(queue)
        net.device.notify(queue.index)
        (answer,) = net.await_control()
        assert answer.ack is (Ack.OK if pairs <= PAIRS else Ack.ERR)


@requirement("NET-EVT-02")
def test_every_transmission_can_be_heard(nic_cold: ProbeNic, offering: Start) -> None:
    """Rung only where avail_event asks for it, each transmitq sends, again and again, with all pairs active."""
    net = offering(Feature.EVENT_IDX)
    assert net.set_pairs(PAIRS)
    for queue in (net.queues[2 * pair + 1] for pair in (*range(PAIRS), *range(PAIRS))):
        for _ in range(3):
            net.post_frame(queue, FRAME)
            await_armed(queue)
            net.device.notify(queue.index)
            net.await_return(queue)
    check(nic_cold, PAIRS)


@requirement("NET-EVT-03")
def test_interrupts_come_where_used_event_asks(nic_cold: ProbeNic, offering: Start) -> None:
    """Of the control queue: none while used_event is far off, and one at the entry that it names."""
    net = offering(Feature.EVENT_IDX)
    vectors: QueueVectors = start_with_vectors(net, MULTIQUEUE | Feature.EVENT_IDX)
    queue = net.queues[net.control_index]
    control = vectors.of_queue[queue.index]
    vectors.map_queues({queue.index: NO_VECTOR})
    assert net.set_pairs(1)  # the first interrupt of a queue may come unasked
    queue.want_interrupt_after(3)
    vectors.map_queues({queue.index: control})
    for pairs in (2, PAIRS):
        assert net.set_pairs(pairs)
    assert nic_cold.receive(flows(64)).exactly_once
    assert control not in vectors.pending()
    assert net.set_pairs(3)
    vectors.await_pending({control})


@requirement("NET-MQ-20")
def test_indirect_command_is_carried_out(nic_cold: ProbeNic, offering: Start) -> None:
    """A command whose descriptors lie in a table of their own: acknowledged, and in force."""
    net = offering(Feature.INDIRECT_DESC)
    for pairs in COUNTS:
        net.post_control(pairs_set(pairs), indirect=True)
        (answer,) = net.kick_control()
        assert answer
        assert answer.written == 1
    assert nic_cold.host().pairs == set(range(COUNTS[-1]))


@requirement("NET-RING-01")
def test_indirect_frames_are_sent(nic_cold: ProbeNic[Tap], offering: Start) -> None:
    """Header and frame in several pieces behind one descriptor: used with length 0, on each pair, and on the wire."""
    net = offering(Feature.INDIRECT_DESC)
    assert net.set_pairs(PAIRS)
    nic_cold.wire.capture()
    for pair in range(PAIRS):
        frame = FRAME + bytes([pair])
        back = net.send_chain(pair, [bytes(HEADER), frame[:14], frame[14:30], frame[30:]], indirect=True)
        assert back is not None, "the device never used the frame"
        assert back.written == 0
        assert frame in nic_cold.wire.capture()


def header_and_frame(net: VirtioNet, used: list[Used]) -> tuple[bytes, bytes]:
    """What the device wrote into these buffers, one after the other: struct virtio_net_hdr, and the frame."""
    data = b"".join(net.bus.memory.read(each.buffers[0].address, each.written) for each in used)
    return data[:HEADER], data[HEADER:]


@requirement("NET-RING-01")
def test_what_a_device_says_of_a_frame(nic: ProbeNic, net: VirtioNet) -> None:
    """On each pair: a transmission is used with length 0; a received frame with its own, num_buffers 1, no offload."""
    assert nic.set_pairs(PAIRS)
    for pair in range(PAIRS):
        back = net.send_chain(pair, [bytes(HEADER) + FRAME])
        assert back is not None, "the device never used the frame"
        assert back.written == 0
    nic.send(flows(64))
    for pair, queue in net.receive_queues():
        used = net.await_used(queue)
        header, frame = header_and_frame(net, used[:1])
        wanted = bytes(HEADER - 2) + struct.pack("<H", 1)
        assert header == wanted, f"pair {pair} got the header {header.hex(' ')}: expected {wanted.hex(' ')}"
        assert len(frame) == used[0].written - HEADER == len(flows(1)[0].frame(bytes(6), 0))


@requirement("NET-RING-02")
def test_frame_is_spread_over_small_buffers(nic_cold: ProbeNic[Tap], offering: Start) -> None:
    """With MRG_RXBUF: num_buffers says how many, together they are the frame, and one that fits takes one."""
    net = offering(Feature.MRG_RXBUF)
    net.start(MULTIQUEUE | Feature.MRG_RXBUF, buffer=128)
    for length in (60, 600, 1500):
        sent = FRAME[:14] + bytes(range(256)) * 6
        nic_cold.wire.inject([sent[:length]])
        used = net.await_used(net.queues[0], last=length)
        header, frame = header_and_frame(net, used)
        assert frame == sent[:length]
        assert struct.unpack("<H", header[10:]) == (len(used),)
        assert len(used) == -(-(length + HEADER) // 128)


TCP_FLOW = bytes.fromhex("450005dc000040004006") + bytes(2) + bytes([10, 77, 1, 1, 10, 77, 0, 2])
"""An IPv4 header without its length and checksum."""


def segmented(size: int) -> bytes:
    """An Ethernet frame with a TCP segment of `size` bytes of data, its checksum left to the device."""
    ip = TCP_FLOW[:2] + struct.pack(">H", 40 + size) + TCP_FLOW[4:]
    tcp = struct.pack(">HHIIBBHHH", 1234, 4321, 1, 0, 0x50, 0x10, 1024, 0, 0)
    return bytes.fromhex("0200000000010200000001000800") + ip + tcp + bytes(range(256)) * (size // 256)


@pytest.mark.parametrize("size", [512, 4096], ids=["one-segment", "several-segments"])
@requirement("NET-RING-03")
def test_offloaded_frame_is_sent_whole(nic_cold: ProbeNic[Tap], offering: Start, size: int) -> None:
    """Checksum, and cutting into segments, left to the device: all of the data comes out, on each pair."""
    net = offering(Feature.CSUM | Feature.HOST_TSO4)
    assert net.set_pairs(PAIRS)
    gso = (1, 1448) if size > 1448 else (0, 0)
    header = struct.pack("<BBHHHHH", 1, gso[0], 54, gso[1], 34, 16, 0)
    for pair in range(PAIRS):
        nic_cold.wire.capture()
        back = net.send_chain(pair, [header + segmented(size)])
        assert back is not None, "the device never used the frame"
        assert back.written == 0
        out = [frame for frame in nic_cold.wire.capture() if frame[12:14] == b"\x08\x00"]
        sent = sum(len(frame) - 54 for frame in out)
        assert sent == size, f"on pair {pair} {sent} bytes of data came out: expected {size}"
