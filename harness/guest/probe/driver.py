"""The probe guest's driver as the tests' common verbs."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from harness.deadline import Deadline
from harness.errors import GuestError
from harness.guest.answer import Answer
from harness.guest.driver import WAS_TOLD, Inject, Ledger
from harness.guest.probe.bus import Bus
from harness.guest.probe.features import MULTIQUEUE, Feature
from harness.guest.probe.net import DriverState, VirtioNet
from harness.guest.status import Status
from harness.host.flows import STAMP_LENGTH, STAMP_OFFSET, read_stamp
from harness.record.landed import Landed
from harness.record.pairs import Pairs

WINDOW = 512
"""Frames sent before what arrived is taken off: less than a tap queue holds (1000), so that none is dropped."""

QUIET = 0.5
"""Seconds without any arrival after which the frames still missing count as lost."""
FIRST = 2.0
"""Seconds without any arrival at the beginning: a busy host may let a VMM's worker wait that was just started."""


class ProbeDriver:
    """Drives one NIC with features and rings of the test's choice; `net` is the driver below, for raw access.

    It sets up exactly these virtqueues at each start (None: all that the device has under these features).
    """

    name = "probe"

    def __init__(
        self, net: VirtioNet, features: Feature = MULTIQUEUE, *, queues: Collection[int] | None = None
    ) -> None:
        self.net = net
        self.features = features
        self.queues = queues

    def rebind(self, bus: Bus) -> None:
        """The machine was reset: another driver, of the same kind, takes over; it is not started yet."""
        self.net = self.net.anew(bus)

    def carry_over(self, bus: Bus, then: DriverState) -> None:
        """The guest was restored or migrated: this driver goes on there, from what it knew then."""
        self.net.carry_over(bus, then)

    def start(self) -> None:
        """Start the device as this driver does, all receive rings filled. Raises GuestError if it does not start."""
        status = self.net.start(self.features, queues=self.queues)
        if not status & Status.DRIVER_OK or status & (Status.NEEDS_RESET | Status.FAILED):
            raise GuestError(f"the device did not start with {self.features!r}: its status is {status!r}")

    def reset(self) -> None:
        """Reset the device and start it anew."""
        self.start()

    @property
    def running(self) -> bool:
        """From DRIVER_OK to the next reset."""
        return self.net.active_pairs is not None

    @property
    def believed_pairs(self) -> frozenset[int]:
        """Pair 0 from DRIVER_OK on; after an acknowledged VQ_PAIRS_SET n, the first n."""
        return Pairs(range(self.net.active_pairs or 0), WAS_TOLD)

    def set_pairs(self, pairs: int) -> Answer:
        """Send VQ_PAIRS_SET; the answer."""
        return self.net.set_pairs(pairs)

    def receive(self, inject: Inject, frames: Sequence[bytes], ledger: Ledger) -> Landed:
        """Send in windows, taking arrivals off in between; wait until all are in or none came for a while."""
        for start in range(0, len(frames), WINDOW):
            inject(frames[start : start + WINDOW])
            self._take(ledger)
        silence = Deadline(QUIET if ledger.missing < len(frames) else FIRST)
        last = time.monotonic()
        while ledger.missing:
            over = silence.expired()
            if self._take(ledger):
                silence, last = Deadline(QUIET), time.monotonic()
            elif over:
                break
            else:
                silence.pause(last)
        return ledger.landed()

    def transmit(self, pair: int, frames: Sequence[bytes]) -> int:
        """Send on the pair's transmitq, whether the pair is active or not."""
        return self.net.send(pair, frames)

    def _take(self, ledger: Ledger) -> int:
        """Enter what has arrived; how many frames of ours it was."""
        ours = 0
        for pair, payload in self.net.take_frames(STAMP_OFFSET, STAMP_LENGTH):
            identity = read_stamp(payload)
            if identity is not None:
                ledger.arrived(pair, identity)
                ours += 1
        return ours
