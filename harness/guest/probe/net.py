"""The virtio-net driver (virtio 1.2, 5.1): it runs in the test process and reaches the device through a guest.

It does what a test says, legal or not; only the receive path has a life of its own, in that buffers taken off a
receive ring are put back.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Collection, ItemsView, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum

from harness.deadline import PACE, Deadline, wait_until
from harness.errors import DeadlineExceeded, GuestError, HarnessError, Owner
from harness.guest.answer import UNTOUCHED, Ack, Answer
from harness.guest.probe import mmio, pci
from harness.guest.probe.bus import Bus
from harness.guest.probe.device import VirtioDevice
from harness.guest.probe.features import MULTIQUEUE, Feature
from harness.guest.probe.packed import PackedVirtqueue
from harness.guest.probe.transport import Common, Transport
from harness.guest.probe.virtqueue import DESCRIPTOR_BYTES, Arena, Buffer, Position, Used, Virtqueue
from harness.guest.status import Status
from harness.mac import mac_bytes

HEADER = 12
"""Bytes of struct virtio_net_hdr in front of each frame under VERSION_1 (virtio 1.2, 5.1.6)."""
BUFFER = 2048
PAGE = 4096
RING = 256
CONFIG_MAC, CONFIG_MAX_PAIRS = 0, 8
RETURN_PATIENCE = 2.0
"""Seconds in which a device uses the buffers that it was given, or frames that came."""
CONTROL_PATIENCE = 5.0
"""Seconds: an answer takes microseconds, and a thread of a VMM on a busy host its turn."""
ASKS_EVERY = 0.1
"""Seconds between two looks at the status of a device that owes an answer."""


NAMED = 8
"""Commands of one kick that are named one by one in a timeline."""


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


@dataclass(frozen=True)
class DriverState:
    """What a driver knows at one moment: positions by virtqueue, free transmit buffers, active pairs, and the
    number of pairs in each VQ_PAIRS_SET under way, by head descriptor."""

    positions: Mapping[int, Position]
    transmit_slots: Mapping[int, tuple[int, ...]]
    active_pairs: int | None
    asked: Mapping[int, int]


def find_net(
    bus: Bus,
    mac: str,
    make: Callable[[Bus, Transport], VirtioDevice] = VirtioDevice,
    slots: Sequence[int] = (),
) -> VirtioDevice:
    """The network device with this MAC address, on MMIO at one of `slots`, or without them on PCI.

    Raises GuestError, naming those found, if there is none.
    """
    wanted, seen = mac_bytes(mac), []
    for transport in mmio.scan(bus, slots) if slots else _on_pci(bus):
        device = make(bus, transport)
        found = device.config_bytes(CONFIG_MAC, 6)
        if found == wanted:
            return device
        seen.append(f"{transport} {found.hex(':')}")
    raise GuestError(f"the guest sees no virtio-net device with MAC {mac}; it sees {seen or 'none'}")


def _on_pci(bus: Bus) -> Iterator[Transport]:
    for function, identity in pci.scan(bus):
        if identity.is_virtio_net:
            yield pci.Pci(bus, function)


def arena_of(bus: Bus, share: int, shares: int, iova_offset: int = 0) -> Arena:
    """Part `share` of `shares` equal ones of the memory that a guest's drivers may lay out."""
    room = (bus.memory.size - bus.free_memory) // shares & -PAGE
    start = bus.free_memory + share * room
    return Arena(bus.memory, start, start + room, iova_offset)


def pairs_set(pairs: int) -> list[bytes]:
    """What the device reads of VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET: the header, and virtqueue_pairs, any 16-bit number."""
    return [bytes([Class.MQ, VQ_PAIRS_SET]), struct.pack("<H", pairs)]


class Queues(dict[int, Virtqueue]):
    """The virtqueues that are set up, by index. Asking for one that is not raises in words, whoever's fault it is."""

    def __init__(self) -> None:
        super().__init__()
        self.lacking: dict[int, str] = {}
        """Those that the device should have by what it says, and to which it gives no size."""

    def __missing__(self, index: int) -> Virtqueue:
        if index in self.lacking:
            raise GuestError(f"the device has {self.lacking[index]}: its queue_size reads 0 there")
        raise HarnessError(f"virtqueue {index} was not set up: the driver has set up {sorted(self)}")


def _silently(what: str, pairs: int | None) -> None:
    """Tell nobody."""


class VirtioNet:
    """A driver for one network device. `queues` holds the virtqueues that are set up, by their index.

    Drivers of several devices in one guest divide its memory: this one takes part `share` of `shares` equal ones. The
    device is told all addresses `iova_offset` higher: see harness.guest.probe.iommu.
    `slots` are the addresses at which a machine without PCI has its devices.
    """

    def __init__(
        self,
        bus: Bus,
        mac: str,
        *,
        share: int = 0,
        shares: int = 1,
        iova_offset: int = 0,
        device: Callable[[Bus, Transport], VirtioDevice] = VirtioDevice,
        slots: Sequence[int] = (),
    ) -> None:
        self.bus = bus
        self.mac = mac
        self.share, self.shares = share, shares
        self._iova_offset = iova_offset
        self._make_device, self._slots = device, slots
        self.device = find_net(bus, mac, device, slots)
        self._arena = arena_of(bus, share, shares, iova_offset)
        self.queues = Queues()
        self._transmit_slots: dict[int, list[int]] = {}
        self.features = Feature(0)
        self.control_index = 2
        self.active_pairs: int | None = None
        """What the device agreed to last: 1 from DRIVER_OK on, then the number in each acknowledged VQ_PAIRS_SET."""
        self._receiveqs: dict[int, Virtqueue] = {}
        self._buffer = BUFFER
        self._asked: dict[int, int] = {}  # the pairs in each VQ_PAIRS_SET under way, by its head descriptor
        self._under_way: dict[int, str] = {}  # every command under way, in words, by its head descriptor
        self._posted: list[str] = []
        self.narrate: Callable[[str, int | None], None] = _silently
        """Told of each step that the device sees, with the count of active pairs where that changes: for a timeline."""

    @property
    def max_pairs(self) -> int:
        """max_virtqueue_pairs of the configuration space, in pairs."""
        return self.device.config(CONFIG_MAX_PAIRS, 2)

    # Life cycle

    def anew(self, bus: Bus) -> VirtioNet:
        """A driver for the same device after the machine was reset: it knows nothing of this one's past."""
        net = VirtioNet(
            bus,
            self.mac,
            share=self.share,
            shares=self.shares,
            iova_offset=self._iova_offset,
            device=self._make_device,
            slots=self._slots,
        )
        net.narrate = self.narrate
        return net

    def driver_state(self) -> DriverState:
        """What this driver knows, to be kept with a snapshot of its guest."""
        positions = {index: queue.position() for index, queue in self.queues.items()}
        slots = {index: tuple(free) for index, free in self._transmit_slots.items()}
        return DriverState(positions, slots, self.active_pairs, dict(self._asked))

    def carry_over(self, bus: Bus, then: DriverState) -> None:
        """Go on in a guest that was restored or migrated, as if nothing had happened since `then`.

        `bus` leads to that guest. The queues are the same as then: none was set up since.
        """
        self.bus = self.device.bus = bus
        self._arena.memory = bus.memory
        self.active_pairs = then.active_pairs
        self._asked = dict(then.asked)
        self._under_way = {head: f"VQ_PAIRS_SET {count}" for head, count in then.asked.items()}
        self._transmit_slots = {index: list(free) for index, free in then.transmit_slots.items()}
        for index, queue in self.queues.items():
            queue.memory = bus.memory
            queue.return_to(then.positions[index])

    def reset(self) -> None:
        """Reset the device and forget its queues. The memory they lay in is left as it is until the next start."""
        if self.queues:
            self.narrate("resets the device", None)
        self.device.reset()
        self.queues.clear()
        self.queues.lacking.clear()
        self._receiveqs.clear()
        self._asked.clear()
        self._under_way.clear()
        self._posted.clear()
        self.active_pairs = None

    def start(
        self,
        features: Feature = MULTIQUEUE,
        *,
        pairs: int | None = None,
        queues: Collection[int] | None = None,
        ring: int = RING,
        buffer: int = BUFFER,
        empty: Collection[int] = (),
        extra_queues: Sequence[int] = (),
    ) -> Status:
        """`prepare`, and `set_driver_ok` if the device took the features; the status then. Sends no VQ_PAIRS_SET."""
        status = self.prepare(
            features,
            pairs=pairs,
            queues=queues,
            ring=ring,
            buffer=buffer,
            empty=empty,
            extra_queues=extra_queues,
        )
        return self.set_driver_ok() if status & Status.FEATURES_OK else status

    def prepare(
        self,
        features: Feature = MULTIQUEUE,
        *,
        pairs: int | None = None,
        queues: Collection[int] | None = None,
        ring: int = RING,
        buffer: int = BUFFER,
        empty: Collection[int] = (),
        extra_queues: Sequence[int] = (),
        vectors: Callable[[VirtioDevice, Collection[int]], Mapping[int, int]] | None = None,
    ) -> Status:
        """Reset, negotiate exactly `features`, set up queues; everything but DRIVER_OK. The status then.

        `pairs` pairs are set up (None: as many as the device has under these features) and the control queue, or
        exactly these `queues`; rings of `ring` entries, and those `extra_queues` that the device has. Every receive
        ring is full of buffers of `buffer` bytes, but those of the pairs `empty`, so that a frame which the device
        places on a pair that nobody activated is seen, not dropped.
        `vectors` chooses interrupt vectors for the queues, before they are enabled; without it they have none.
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
        wanted = [*range(2 * (most if pairs is None else pairs)), *extra_queues]
        if Feature.CTRL_VQ in features:
            wanted.append(self.control_index)
        if queues is not None:
            wanted = sorted(queues)
        layout = PackedVirtqueue if Feature.RING_PACKED in features else Virtqueue
        for index, fact in zip(wanted, self.device.queue_facts(wanted), strict=True):
            if not fact.size:
                self.queues.lacking[index] = self._position(index, most)
            else:
                self.queues[index] = layout(self._arena, index, min(ring, fact.size))
        self._receiveqs = {
            index // 2: queue
            for index, queue in self.queues.items()
            if index % 2 == 0 and index not in extra_queues and not self._is_control(index)
        }
        chosen = vectors(self.device, list(self.queues)) if vectors is not None else None
        self.device.enable_queues(list(self.queues.values()), chosen)
        self._buffer = buffer
        for pair in self._receiveqs.keys() - set(empty):
            self._fill(self._receiveqs[pair])
        return status

    def fill(self, *pairs: int) -> None:
        """Fill the receive rings of these pairs, which were left empty, and tell the device."""
        for pair in pairs:
            self._fill(self._receiveqs[pair])
            self.device.notify(self._receiveqs[pair].index)

    def set_driver_ok(self) -> Status:
        """Set DRIVER_OK and tell the device of the receive buffers; the status read back."""
        status = self.device.driver_ok()
        self.narrate("has set DRIVER_OK", 1)
        self.device.notify(*[queue.index for queue in self._receiveqs.values()])
        self.active_pairs = 1
        return status

    def receive_queues(self) -> ItemsView[int, Virtqueue]:
        """Pair and virtqueue of each receiveq that is set up."""
        return self._receiveqs.items()

    def _position(self, index: int, most: int) -> str:
        """Where a virtqueue should be, in words, under these features with so many pairs."""
        if self._is_control(index):
            whose = (
                f"2 \u00d7 max_virtqueue_pairs of {most}"
                if Feature.MQ in self.features
                else "without multiqueue"
            )
            return f"no control queue at index {index}, {whose}"
        return f"no virtqueue at index {index}, of {most} pairs that it says it has"

    def _is_control(self, index: int) -> bool:
        return Feature.CTRL_VQ in self.features and index == self.control_index

    def _fill(self, queue: Virtqueue) -> None:
        base = self._arena.take(self._buffer * queue.size, BUFFER)
        room = self._buffer
        queue.add_each([Buffer(base + room * i, room, True) for i in range(queue.size)])
        queue.publish()

    def memory_in_use(self) -> bytes:
        """Everything that this driver has given the device since the last start: rings, commands, buffers."""
        return self._arena.content()

    # Control commands

    def post_control(
        self, out: Sequence[bytes], into: Sequence[int] = (1,), *, indirect: bool = False
    ) -> int:
        """Put a command into the control queue, unpublished; the address of its first writable byte (0: none).

        `out` is what the device reads and `into` the lengths of what it writes, one descriptor each. `indirect`: the
        descriptors lie in a table of their own (needs INDIRECT_DESC).
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
        head = self.queues[self.control_index].add(buffers, self._table(buffers) if indirect else None)
        command = b"".join(out)
        words = f"command {command[:16].hex(' ')}"
        if command.startswith(bytes([Class.MQ, VQ_PAIRS_SET])) and len(command) >= 4:
            self._asked[head] = struct.unpack_from("<H", command, 2)[0]
            words = f"VQ_PAIRS_SET {self._asked[head]}"
        self._under_way[head] = words
        self._posted.append(words)
        return ack

    def kick_control(self, count: int = 1, *, within: float = CONTROL_PATIENCE) -> list[Answer]:
        """Publish what was posted, ring once, and await `count` answers, in the device's order.

        A device that falls silent gives fewer, and one that asks for a reset (virtio 1.2, 2.1) is no longer awaited.
        Each missing one is an Answer of SILENCE.
        """
        self.ring_control()
        return self.await_control(count, within=within)

    def ring_control(self) -> None:
        """Publish what was posted and ring once."""
        self._tell_posted("")
        self.queues[self.control_index].publish()
        self.device.notify(self.control_index)

    def _tell_posted(self, then: str) -> None:
        more = f" and {len(self._posted) - NAMED} more" if len(self._posted) > NAMED else ""
        self.narrate(f"control queue: {', '.join(self._posted[:NAMED])}{more}{then}", None)
        self._posted.clear()

    def await_control(self, count: int = 1, *, within: float = CONTROL_PATIENCE) -> list[Answer]:
        """Await `count` answers to what was published, as `kick_control` does."""
        queue = self.queues[self.control_index]
        answers: list[Answer] = []
        asked = time.monotonic()

        def arrived() -> bool:
            for used in queue.reap():
                queue.release(used)
                writable = [b for b in used.buffers if b.device_writes]
                data = b"".join(self._arena.memory.read(b.address, b.length) for b in writable)
                ack = next(
                    (known for known in Ack if data and known == data[0]), data[0] if data else Ack.NONE
                )
                head = used.descriptors[0]
                answers.append(Answer(self._under_way.pop(head, "a command"), ack, used.written, data))
                asked = self._asked.pop(head, None)
                if asked is not None and ack is Ack.OK:
                    self.active_pairs = asked
                self.narrate(f"control queue: {answers[-1]}", asked if ack is Ack.OK else None)
            return len(answers) >= count

        def over() -> bool:
            """Whether all came, or the device asks for a reset, and still none came by then."""
            nonlocal asked
            given_up = False
            if time.monotonic() > asked + ASKS_EVERY:
                given_up = Status.NEEDS_RESET in self.device.status
                asked = time.monotonic()
            return arrived() or given_up

        with suppress(DeadlineExceeded):  # silence is an answer to be judged, and is one below
            wait_until("the control queue's answers", over, owed_by=Owner.VMM, within=within)
        status, waited = self.device.status, within * PACE
        silent = [*self._under_way.values(), *["a command"] * count][: count - len(answers)]
        for words in silent:
            answers.append(Answer(words, Ack.SILENCE, waited=waited))
            self.narrate(f"control queue: {answers[-1]}", None)
        return [replace(answer, status=status) for answer in answers]

    def publish_and_reset(self) -> None:
        """Publish what was posted, ring, and reset at once, with nothing between the two register writes."""
        self._tell_posted(", and a reset at once")
        self.queues[self.control_index].publish()
        self.bus.run([self.device.doorbell(self.control_index), self.device.put(Common.STATUS, 1, 0)])
        self.reset()

    def control(self, out: Sequence[bytes], into: Sequence[int] = (1,)) -> Answer:
        """Send one control command and await its answer."""
        self.post_control(out, into)
        return self.kick_control()[0]

    def set_pairs(self, pairs: int) -> Answer:
        """Send VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET (virtio 1.2, 5.1.6.5.5); its answer. Any 16-bit number is sent."""
        return self.control(pairs_set(pairs))

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

    def await_frames(self, count: int, *, within: float = 5.0) -> set[int]:
        """Take frames off, whatever they are, until `count` have come; the pairs that any of them came on."""
        pairs: list[int] = []

        def enough() -> bool:
            pairs.extend(pair for pair, _ in self.take_frames(length=0))
            return len(pairs) >= count

        wait_until(
            f"{count} frames to arrive",
            enough,
            owed_by=Owner.VMM,
            within=within,
            last=lambda: f"{len(pairs)} came",
        )
        return set(pairs)

    def send(self, pair: int, frames: Sequence[bytes], *, within: float = 2.0) -> int:
        """Transmit on one pair's transmitq; how many of these frames' buffers the device gave back in time."""
        queue = self.queues[2 * pair + 1]
        slots = self._transmit_slots.setdefault(queue.index, [])
        mine = set[int]()  # what an earlier call gave up may come back now: it is not counted
        returned, at = 0, 0
        deadline, last = Deadline(within), time.monotonic()
        while returned < len(frames):
            over = deadline.expired()
            batch = frames[at : at + queue.size - queue.outstanding]
            for frame in batch:
                address = slots.pop() if slots else self._arena.take(BUFFER, BUFFER)
                self._arena.memory.write(address, bytes(HEADER) + frame)
                mine.add(queue.add([Buffer(address, HEADER + len(frame), False)]))
            if batch:
                at += len(batch)
                queue.publish()
                self.device.notify(queue.index)
            given_back = queue.reap()
            for used in given_back:
                queue.release(used)
                slots.append(used.buffers[0].address)
                returned += used.descriptors[0] in mine
                mine.discard(used.descriptors[0])
            if given_back or batch:
                last = time.monotonic()
            elif over:
                break
            else:
                deadline.pause(last)
        return returned

    def post_frame(self, queue: Virtqueue, frame: bytes) -> None:
        """Publish a frame on a transmitq, without notifying the device."""
        at = self._arena.take(HEADER + len(frame))
        self._arena.memory.write(at, bytes(HEADER) + frame)
        queue.add([Buffer(at, HEADER + len(frame), False)])
        queue.publish()

    def await_return(self, queue: Virtqueue, *, within: float = RETURN_PATIENCE) -> None:
        """Wait until the device holds no chain of a queue any more."""

        def returned() -> bool:
            for used in queue.reap():
                queue.release(used)
            return not queue.outstanding

        wait_until(
            f"the buffers on virtqueue {queue.index} to come back",
            returned,
            owed_by=Owner.VMM,
            within=within,
        )

    def await_used(self, queue: Virtqueue, *, last: int = 1, within: float = RETURN_PATIENCE) -> list[Used]:
        """Chains of a receiveq that the device used, once they hold `last` bytes; they are not given back to it."""
        used: list[Used] = []

        def enough() -> bool:
            used.extend(queue.reap())
            return sum(each.written for each in used) >= last

        wait_until(f"{last} bytes on virtqueue {queue.index}", enough, owed_by=Owner.VMM, within=within)
        return used

    def send_chain(
        self, pair: int, parts: Sequence[bytes], *, indirect: bool = False, within: float = RETURN_PATIENCE
    ) -> Used | None:
        """Transmit one chain of these parts, a descriptor each, the header among them; how it came back, if it did.

        `indirect`: the descriptors lie in a table of their own (needs INDIRECT_DESC).
        """
        queue = self.queues[2 * pair + 1]
        buffers = []
        for part in parts:
            at = self._arena.take(max(len(part), 1))
            self._arena.memory.write(at, part)
            buffers.append(Buffer(at, len(part), False))
        head = queue.add(buffers, self._table(buffers) if indirect else None)
        queue.publish()
        self.device.notify(queue.index)
        back: list[Used] = []

        def returned() -> bool:
            for used in queue.reap():
                queue.release(used)
                back.extend([used] if used.descriptors[0] == head else [])
            return bool(back)

        with suppress(DeadlineExceeded):  # that it did not come back is for the caller to judge
            wait_until("a transmitted chain to come back", returned, owed_by=Owner.VMM, within=within)
        return back[0] if back else None

    def _table(self, buffers: Sequence[Buffer]) -> int:
        """Room for an indirect table of these buffers."""
        return self._arena.take(DESCRIPTOR_BYTES * len(buffers), DESCRIPTOR_BYTES)
