"""Linux's own virtio-net driver as the tests' common verbs."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from harness.deadline import Deadline
from harness.guest.answer import Ack, Answer
from harness.guest.driver import WAS_TOLD, Inject, Ledger
from harness.guest.linux.frames import Frames
from harness.guest.linux.guest import LinuxGuest, Refused
from harness.guest.linux.pktgen import Datagram
from harness.record.landed import Landed
from harness.record.pairs import Pairs
from harness.vmm.base import NicConfig

WINDOW = 512
"""Frames sent before their arrival is awaited: less than a tap queue holds (1000), so that none is dropped."""

QUIET = 1.0
"""Seconds without any arrival after which the frames still missing count as lost."""


class LinuxDriver:
    """Drives one NIC of a Linux guest by ethtool, and counts frames as the kernel does: by queue, not one by one.

    The kernel starts the device by itself when it finds it, and asks at once for as many pairs as it has CPUs.
    """

    name = "linux"

    def __init__(self, guest: LinuxGuest, nic: NicConfig) -> None:
        self.guest = guest
        self.interface = nic.id
        self._max_pairs = nic.pairs
        self._pairs = 0
        self._seen = [0] * nic.pairs
        """Frames that each queue had received when it was last looked at: queues above the count hide theirs."""

    def start(self) -> None:
        """Take note of what the kernel made of the device when it found it."""
        self._pairs = self.guest.channels(self.interface).current
        self._look()

    def reset(self) -> None:
        """Unbind the driver, which resets the device, bind it again, and bring the interface up."""
        self._pairs = 0
        self.guest.bind(self.guest.unbind(self.interface))
        self.guest.check(f"ip link set {self.interface} up")
        self._seen = [0] * self._max_pairs
        self.start()

    @property
    def running(self) -> bool:
        """From the first look at the device on, but not in the middle of a reset."""
        return self._pairs > 0

    @property
    def believed_pairs(self) -> frozenset[int]:
        """As many pairs as `ethtool -l` said when it was last asked, which is after each change."""
        return Pairs(range(self._pairs), WAS_TOLD)

    def set_pairs(self, pairs: int) -> Answer:
        """`ethtool -L`; it is refused where ethtool, the kernel or the device does.

        The kernel sends nothing for the count that it has already: then another count comes first.
        """
        self._look()
        command = f"ethtool -L combined {pairs}"
        try:
            if pairs == self._pairs and self._max_pairs > 1:
                self.guest.set_channels(self.interface, pairs - 1 or 2)
            self.guest.set_channels(self.interface, pairs)
        except Refused:
            return Answer(command, Ack.ERR)
        finally:
            self._pairs = self.guest.channels(self.interface).current
        return Answer(command, Ack.OK)

    def receive(self, inject: Inject, frames: Sequence[bytes], ledger: Ledger) -> Landed:
        """Send in windows; wait until as many were counted, or none came for QUIET seconds.

        Frames that the kernel received on pairs above the count are told apart by raising it for a moment.
        More frames than were sent count as seen twice: the kernel does not tell which they were.
        """
        before = self._look()
        for start in range(0, len(frames), WINDOW):
            window = frames[start : start + WINDOW]
            inject(window)
            self._await(before.total + start + len(window))
        known = list(self._seen)
        came = self._look() - before
        by_pair = dict(enumerate(came.per_queue))
        if came.above:
            by_pair |= self._above(known)
        missing = len(frames) - came.total
        return Landed(len(frames), by_pair, lost=max(missing, 0), twice=max(-missing, 0))

    def transmit(self, pair: int, frames: Sequence[bytes]) -> int:
        """Let the kernel's packet generator send a frame with each one's addresses and ports; its payload differs.

        The generator ends when the last buffer came back.
        """
        self.guest.transmit(self.interface, [_datagram(frame) for frame in frames], queue=pair)
        return len(frames)

    def _look(self) -> Frames:
        frames = self.guest.received(self.interface)
        self._seen[: len(frames.per_queue)] = frames.per_queue
        return frames

    def _await(self, total: int) -> None:
        seen, quiet = self._look().total, Deadline(QUIET)
        while seen < total:
            over = quiet.expired()
            now = self._look().total
            if now > seen:
                seen, quiet = now, Deadline(QUIET)
            elif over:
                break

    def _above(self, known: list[int]) -> dict[int, int]:
        """Frames on the pairs above the count since `known`."""
        self.guest.set_channels(self.interface, self._max_pairs)
        self._look()
        self.guest.set_channels(self.interface, self._pairs)
        return {pair: self._seen[pair] - known[pair] for pair in range(self._pairs, self._max_pairs)}


def _datagram(frame: bytes) -> Datagram:
    """The addresses and ports of a frame of UDP over IPv4, without options."""
    return Datagram(
        destination_mac=frame[:6].hex(":"),
        source=IPv4Address(frame[26:30]),
        source_port=int.from_bytes(frame[34:36], "big"),
        destination=IPv4Address(frame[30:34]),
        destination_port=int.from_bytes(frame[36:38], "big"),
    )
