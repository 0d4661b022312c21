"""A simulated virtio-net device (virtio 1.2, 4.1.4 and 5.1) that can be told to misbehave."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.guest.probe.bus import Memory
from harness.guest.probe.features import MULTIQUEUE, Feature
from harness.guest.probe.transport import NO_VECTOR, Common
from harness.guest.status import Status
from harness.mac import mac_bytes
from tests.probe.device_queue import Chain, DeviceQueue
from tests.probe.machine import PciFunction

COMMON, ISR, DEVICE, NOTIFY = 0, 0x1000, 0x2000, 0x3000
MULTIPLIER = 4
HEADER = 12
MAX_RING = 256
OFFERED = MULTIQUEUE | Feature.CSUM | Feature.GUEST_ANNOUNCE


@dataclass
class Misbehaviour:
    """What the device does wrong. All of it off is a device that does everything right."""

    refuses_features: bool = False
    resets_never: bool = False
    forgets_before_acknowledge: bool = False
    """While the status reads 0 every write is followed by a reset of the registers (cloud-hypervisor does it)."""
    silent_control: bool = False
    breaks_on_control: bool = False
    """Asks for a reset instead of answering a control command."""
    answers_backwards: bool = False
    """Carries out the control commands that came with one kick from the last to the first."""
    ack: int | None = None
    """What is written as the ack, instead of the truth."""
    writes_no_ack: bool = False
    uses_twice: bool = False
    """Returns every received frame's buffer a second time."""
    silent_transmit: bool = False
    breaks_on_start: bool = False
    """Asks for a reset as soon as DRIVER_OK is set."""


@dataclass
class Ring:
    """The registers of one virtqueue."""

    size: int = MAX_RING
    vector: int = NO_VECTOR
    enabled: int = 0
    addresses: dict[int, int] = field(default_factory=dict)
    queue: DeviceQueue | None = None

    def table(self) -> tuple[int, int, int]:
        """Where the driver put descriptors, available ring and used ring."""
        desc, driver, device = (
            self.addresses[register] | self.addresses[register + 4] << 32
            for register in (Common.QUEUE_DESC, Common.QUEUE_DRIVER, Common.QUEUE_DEVICE)
        )
        return desc, driver, device


class SimulatedNet:
    """The registers of a network device of `pairs` pairs; it follows VQ_PAIRS_SET as the specification says."""

    def __init__(self, pairs: int = 4, mac: str = "02:00:00:00:01:00", offered: Feature = OFFERED) -> None:
        self.pairs = pairs
        self.mac = mac
        self.offered = offered
        self.wrong = Misbehaviour()
        self.memory: Memory
        self.transmitted: list[tuple[int, bytes]] = []
        self.doorbells: list[int] = []
        self._config = mac_bytes(mac) + struct.pack("<HH", 1, pairs)
        self._reset()

    def _reset(self) -> None:
        self.status = Status(0)
        self.accepted = Feature(0)
        self.active = 1
        self._offered_half = self._accepted_half = self._selected = 0
        self.rings = [Ring() for _ in range(2 * self.pairs + 1)]

    @property
    def control_index(self) -> int:
        """Index of the control queue: it moves with MQ (virtio 1.2, 5.1.2)."""
        return 2 * self.pairs if Feature.MQ in self.accepted else 2

    # Registers

    def load(self, offset: int, width: int) -> int:
        if DEVICE <= offset < NOTIFY:
            at = offset - DEVICE
            return int.from_bytes(self._config[at : at + width], "little")
        ring = self.rings[self._selected] if self._selected < len(self.rings) else Ring(size=0)
        match offset:
            case Common.DEVICE_FEATURE:
                return self.offered >> 32 * self._offered_half & 0xFFFFFFFF
            case Common.DRIVER_FEATURE:
                return self.accepted >> 32 * self._accepted_half & 0xFFFFFFFF
            case Common.NUM_QUEUES:
                return len(self.rings)
            case Common.STATUS:
                return self.status
            case Common.QUEUE_SIZE:
                return ring.size
            case Common.QUEUE_ENABLE:
                return ring.enabled
            case Common.QUEUE_VECTOR:
                return ring.vector
            case Common.QUEUE_NOTIFY_OFFSET:
                return self._selected
        return 0

    def store(self, offset: int, width: int, value: int) -> None:
        if offset >= NOTIFY:
            assert (offset - NOTIFY) // MULTIPLIER == value, "a doorbell of another queue was rung"
            self._rung(value)
            return
        match offset:
            case Common.DEVICE_FEATURE_SELECT:
                self._offered_half = value
            case Common.DRIVER_FEATURE_SELECT:
                self._accepted_half = value
            case Common.DRIVER_FEATURE:
                keep = self.accepted & ~(0xFFFFFFFF << 32 * self._accepted_half)
                self.accepted = Feature(keep | value << 32 * self._accepted_half)
            case Common.STATUS:
                self._set_status(Status(value))
            case Common.QUEUE_SELECT:
                self._selected = value
            case Common.QUEUE_SIZE:
                self.rings[self._selected].size = value
            case Common.QUEUE_VECTOR:
                if not self.rings[self._selected].enabled:  # it comes too late then: virtio 1.2, 4.1.4.3.2
                    self.rings[self._selected].vector = value
            case Common.QUEUE_ENABLE:
                self._enable(self.rings[self._selected])
            case _ if Common.QUEUE_DESC <= offset < Common.QUEUE_DEVICE + 8:
                self.rings[self._selected].addresses[offset] = value
        if self.wrong.forgets_before_acknowledge and not self.status:
            self._reset()

    def _set_status(self, status: Status) -> None:
        if not status:
            if not self.wrong.resets_never:
                self._reset()
        elif self.wrong.refuses_features or self.accepted & ~self.offered:
            self.status = status & ~Status.FEATURES_OK
        else:
            broken = self.wrong.breaks_on_start and Status.DRIVER_OK in status
            self.status = status | (Status.NEEDS_RESET if broken else 0)

    def _enable(self, ring: Ring) -> None:
        ring.queue = DeviceQueue(self.memory, ring.size, *ring.table())
        ring.enabled = 1

    # Queues

    def _rung(self, index: int) -> None:
        self.doorbells.append(index)
        queue = self.rings[index].queue
        if queue is None or Status.DRIVER_OK not in self.status:
            return
        if Feature.CTRL_VQ in self.accepted and index == self.control_index:
            taken = [] if self.wrong.silent_control else queue.take_all()
            for chain in reversed(taken) if self.wrong.answers_backwards else taken:
                self._command(queue, chain)
        elif index % 2 == 1 and not self.wrong.silent_transmit:
            self.transmit(index // 2)

    def transmit(self, pair: int) -> None:
        """Put on the wire what the driver has made available on one transmitq."""
        queue = self.rings[2 * pair + 1].queue
        assert queue is not None, "transmitq was not set up"
        for chain in queue.take_all():
            self.transmitted.append((pair, self._gathered(chain)[HEADER:]))
            queue.give_back(chain.head, 0)

    def _gathered(self, chain: Chain) -> bytes:
        return b"".join(self.memory.read(*part) for part in chain.readable)

    def _command(self, queue: DeviceQueue, chain: Chain) -> None:
        command = self._gathered(chain)
        if self.wrong.breaks_on_control or len(command) < 2 or not chain.writable:
            self.status |= Status.NEEDS_RESET
            return
        pairs = int.from_bytes(command[2:4], "little")
        legal = Feature.MQ in self.accepted and command[:2] == b"\4\0" and 1 <= pairs <= self.pairs
        if legal:
            self.active = pairs
        if not self.wrong.writes_no_ack:
            ack = (0 if legal else 1) if self.wrong.ack is None else self.wrong.ack
            self.memory.write(chain.writable[0][0], bytes([ack]))
        queue.give_back(chain.head, 1)

    # The wire

    def inject(self, frames: Sequence[bytes]) -> None:
        """Receive frames, spread over the active pairs in turns."""
        for number, frame in enumerate(frames):
            self.place(number % self.active, frame)

    def place(self, pair: int, frame: bytes) -> bool:
        """Receive one frame on this pair, active or not; False where it has no buffer left."""
        queue = self.rings[2 * pair].queue
        if queue is None or (chain := queue.take()) is None:
            return False
        self.memory.write(chain.writable[0][0], bytes(HEADER) + frame)
        queue.give_back(chain.head, HEADER + len(frame))
        if self.wrong.uses_twice:
            queue.give_back(chain.head, HEADER + len(frame))
        return True


def net_function(registers: SimulatedNet, bar: int = 0xE0000000) -> PciFunction:
    """The PCI function of a simulated network device: its BAR and capabilities (virtio 1.2, 4.1.4)."""
    function = PciFunction(0x1AF4, 0x1041, bar, registers)
    function.add_capability(0x11, struct.pack("<HII", 2 * registers.pairs + 1, 0, 0))
    for kind, offset, length in ((1, COMMON, 56), (3, ISR, 1), (4, DEVICE, 12), (5, 0, 0)):
        function.add_capability(9, struct.pack("<BBBBHII", 16, kind, 0, 0, 0, offset, length))
    notify = struct.pack("<BBBBHIII", 20, 2, 0, 0, 0, NOTIFY, 0x1000, MULTIPLIER)
    function.add_capability(9, notify)
    return function


MMIO = {
    0x010: Common.DEVICE_FEATURE,
    0x014: Common.DEVICE_FEATURE_SELECT,
    0x020: Common.DRIVER_FEATURE,
    0x024: Common.DRIVER_FEATURE_SELECT,
    0x030: Common.QUEUE_SELECT,
    0x038: Common.QUEUE_SIZE,
    0x044: Common.QUEUE_ENABLE,
    0x070: Common.STATUS,
    0x080: Common.QUEUE_DESC,
    0x084: Common.QUEUE_DESC + 4,
    0x090: Common.QUEUE_DRIVER,
    0x094: Common.QUEUE_DRIVER + 4,
    0x0A0: Common.QUEUE_DEVICE,
    0x0A4: Common.QUEUE_DEVICE + 4,
    0x0FC: Common.GENERATION,
}
"""Offsets of virtio 1.2, table 4.1."""


class OnMmio:
    """A simulated device's registers as they lie on MMIO (virtio 1.2, 4.2.2)."""

    def __init__(self, net: SimulatedNet, version: int = 2) -> None:
        self.net = net
        self.version = version

    def load(self, offset: int, width: int) -> int:
        """What a driver reads."""
        if offset >= 0x100:
            return self.net.load(DEVICE + offset - 0x100, width)
        assert width == 4, "a register of MMIO was accessed in another width than 4 bytes"
        match offset:
            case 0x000 | 0x004 | 0x008:
                return (0x74726976, self.version, 1)[offset // 4]
            case 0x034:
                return self.net.load(Common.QUEUE_SIZE, 2)
        assert offset not in (0x014, 0x020, 0x024, 0x030, 0x038, 0x050, 0x064), "a register to write was read"
        return self.net.load(MMIO[offset], 4)

    def store(self, offset: int, width: int, value: int) -> None:
        """What a driver writes."""
        assert width == 4, "a register of MMIO was accessed in another width than 4 bytes"
        if offset == 0x050:
            self.net.store(NOTIFY + MULTIPLIER * value, 2, value)
        else:
            self.net.store(MMIO[offset], 4, value)
