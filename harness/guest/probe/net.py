"""The virtio-net driver (virtio 1.2, 5.1): it runs in the test process and reaches the device through a guest.

It does what a test says, legal or not; only the receive path has a life of its own, in that buffers taken off a
receive ring are put back.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum

from harness.deadline import Deadline, wait_until
from harness.errors import DeadlineExceeded, GuestError
from harness.guest.probe import pci
from harness.guest.probe.bus import Bus
from harness.guest.probe.device import Status, VirtioDevice
from harness.guest.probe.features import MULTIQUEUE, Feature
from harness.guest.probe.virtqueue import Arena, Buffer, Virtqueue

HEADER = 12
"""Bytes of struct virtio_net_hdr in front of each frame under VERSION_1 (virtio 1.2, 5.1.6)."""
BUFFER = 2048
RING = 256
CONFIG_MAC, CONFIG_MAX_PAIRS = 0, 8
CONTROL_PATIENCE = 2.0
UNTOUCHED = 0xEE
"""What the ack byte holds before the device writes it."""


class Class(IntEnum):
    """Classes of control commands (virtio 1.2, 5.1.6.5)."""

    RX = 0
    MAC = 1
    VLAN = 2
    ANNOUNCE = 3
    MQ = 4
    GUEST_OFFLOADS = 5


VQ_PAIRS_SET, RSS_CONFIG, HASH_CONFIG = 0, 1, 2
"""Commands of class MQ."""


class Ack(IntEnum):
    """The device's answer to a control command, and what stands for none."""

    OK = 0
    ERR = 1
    NONE = UNTOUCHED
    """The buffer came back, its ack byte untouched."""
    SILENCE = -1
    """The buffer never came back."""


@dataclass(frozen=True)
class Answer:
    """What became of a control command: the ack, the written length (None: never used), all device-written bytes."""

    ack: Ack | int
    written: int | None
    data: bytes
    status: Status


def find_net(bus: Bus, mac: str) -> VirtioDevice:
    """The network device with this MAC address. Raises GuestError, naming those found, if there is none."""
    wanted, seen = bytes.fromhex(mac.replace(":", "")), []
    for function in pci.scan(bus):
        if not pci.is_virtio_net(pci.read_config(bus, function, 0, 4)):
            continue
        device = VirtioDevice(bus, function)
        found = device.config_bytes(CONFIG_MAC, 6)
        if found == wanted:
            return device
        seen.append(f"{function} {found.hex(':')}")
    raise GuestError(f"the guest sees no virtio-net device with MAC {mac}; it sees {seen or 'none'}")


class VirtioNet:
    """A driver for one network device. `queues` holds the virtqueues that are set up, by their index."""

    def __init__(self, bus: Bus, mac: str) -> None:
        self.bus = bus
        self.device = find_net(bus, mac)
        self._arena = Arena(bus.memory, bus.free_memory)
        self.queues: dict[int, Virtqueue] = {}
        self._transmit_slots: dict[int, list[int]] = {}
        self.features = Feature(0)
        self.control_index = 2

    @property
    def max_pairs(self) -> int:
        """max_virtqueue_pairs of the configuration space, in pairs."""
        return self.device.config(CONFIG_MAX_PAIRS, 2)

    # Life cycle

    def reset(self) -> None:
        """Reset the device and forget its queues. The memory they lay in is left as it is until the next start."""
        self.device.reset()
        self.queues.clear()

    def start(
        self,
        features: Feature = MULTIQUEUE,
        *,
        pairs: int | None = None,
        ring: int = RING,
        fill: bool = True,
    ) -> Status:
        """Reset, negotiate exactly `features`, set up queues, set DRIVER_OK; the status at the end.

        `pairs` pairs are set up (None: as many as the device has under these features), rings of `ring` entries.
        With `fill` every receive ring is full of buffers before DRIVER_OK, so that a frame which the device
        places on a pair that nobody enabled is seen, not dropped. No VQ_PAIRS_SET is sent.
        Stops at FEATURES_OK if the device does not take the features.
        """
        self.reset()
        self._arena.clear()
        self._transmit_slots.clear()
        status = self.device.negotiate(features)
        if not status & Status.FEATURES_OK:
            return status
        self.features = features
        most = self.max_pairs if Feature.MQ in features else 1
        self.control_index = 2 * most
        wanted = list(range(2 * (most if pairs is None else pairs)))
        if Feature.CTRL_VQ in features:
            wanted.append(self.control_index)
        facts = self.device.queue_facts(wanted)
        for index, fact in zip(wanted, facts, strict=True):
            if fact.size:
                self.queues[index] = Virtqueue(self._arena, index, min(ring, fact.size))
        self.device.enable_queues(list(self.queues.values()))
        if fill:
            for _, queue in self.receive_queues():
                self._fill(queue)
        status = self.device.driver_ok()
        if fill:
            self.device.notify(*[queue.index for _, queue in self.receive_queues()])
        return status

    def receive_queues(self) -> Iterator[tuple[int, Virtqueue]]:
        """Pair and virtqueue of each receiveq that is set up."""
        for index, queue in self.queues.items():
            if index % 2 == 0 and not self._is_control(index):
                yield index // 2, queue

    def _is_control(self, index: int) -> bool:
        return Feature.CTRL_VQ in self.features and index == self.control_index

    def _fill(self, queue: Virtqueue) -> None:
        base = self._arena.take(BUFFER * queue.size, BUFFER)
        for i in range(queue.size):
            queue.add([Buffer(base + BUFFER * i, BUFFER, True)])
        queue.publish()

    # Control commands

    def post_control(self, out: Sequence[bytes], into: Sequence[int] = (1,)) -> int:
        """Put a command into the control queue, unpublished; the address of its first writable byte (0: none).

        `out` is what the device reads and `into` the lengths of what it writes, one descriptor each.
        """
        buffers, ack = [], 0
        for data in out:
            at = self._arena.take(max(len(data), 1))
            self._arena.memory.write(at, data)
            buffers.append(Buffer(at, len(data), False))
        for length in into:
            at = self._arena.take(length)
            self._arena.memory.fill(at, length, UNTOUCHED)
            buffers.append(Buffer(at, length, True))
            ack = ack or at
        self.queues[self.control_index].add(buffers)
        return ack

    def kick_control(self, count: int = 1, *, within: float = CONTROL_PATIENCE) -> list[Answer]:
        """Publish what was posted, ring once, and await `count` answers, in the device's order.

        A device that falls silent or asks for a reset gives fewer; each missing one is an Answer of SILENCE.
        """
        queue = self.queues[self.control_index]
        queue.publish()
        self.device.notify(self.control_index)
        answers: list[Answer] = []

        def arrived() -> bool:
            for used in queue.reap():
                queue.release(used)
                writable = [b for b in used.buffers if b.device_writes]
                data = b"".join(self._arena.memory.read(b.address, b.length) for b in writable)
                ack = next(
                    (known for known in Ack if data and known == data[0]), data[0] if data else Ack.NONE
                )
                answers.append(Answer(ack, used.written, data, Status(0)))
            return len(answers) >= count

        with suppress(DeadlineExceeded):  # silence is an answer to be judged, and is one below
            wait_until("the control queue's answers", arrived, within=within, every=0)
        status = self.device.status
        missing = [Answer(Ack.SILENCE, None, b"", status)] * (count - len(answers))
        return [Answer(a.ack, a.written, a.data, status) for a in answers] + missing

    def control(self, out: Sequence[bytes], into: Sequence[int] = (1,)) -> Answer:
        """Send one control command and await its answer."""
        self.post_control(out, into)
        return self.kick_control()[0]

    def set_pairs(self, pairs: int) -> Ack | int:
        """Send VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET (virtio 1.2, 5.1.6.5.5); its ack. Any 16-bit number is sent."""
        return self.control([bytes([Class.MQ, VQ_PAIRS_SET]), struct.pack("<H", pairs)]).ack

    # Frames

    def take_frames(self, offset: int = 0, length: int = BUFFER) -> list[tuple[int, bytes]]:
        """What has arrived since the last call: (pair, bytes `offset` to `offset + length` of the frame).

        The buffers go back to their rings, and the device is told.
        """
        arrived, kicks = [], []
        memory = self._arena.memory
        for pair, queue in self.receive_queues():
            used = queue.reap()
            for chain in used:
                frame = max(0, min(length, chain.written - HEADER - offset))
                arrived.append((pair, memory.read(chain.buffers[0].address + HEADER + offset, frame)))
                queue.recycle(chain)
            if used:
                queue.publish()
                kicks.append(queue.index)
        if kicks:
            self.device.notify(*kicks)
        return arrived

    def send(self, pair: int, frames: Sequence[bytes], *, within: float = 2.0) -> int:
        """Transmit on one pair's transmitq; how many buffers the device gave back in time."""
        queue = self.queues[2 * pair + 1]
        slots = self._transmit_slots.setdefault(queue.index, [])
        returned, at = 0, 0
        deadline = Deadline(within)
        while returned < len(frames) and not deadline.expired():
            batch = frames[at : at + queue.size - queue.outstanding]
            for frame in batch:
                address = slots.pop() if slots else self._arena.take(BUFFER, BUFFER)
                self._arena.memory.write(address, bytes(HEADER) + frame)
                queue.add([Buffer(address, HEADER + len(frame), False)])
            if batch:
                at += len(batch)
                queue.publish()
                self.device.notify(queue.index)
            for used in queue.reap():
                queue.release(used)
                slots.append(used.buffers[0].address)
                returned += 1
        return returned
