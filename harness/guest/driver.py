"""What drives a NIC inside the guest, seen from a test: the same few verbs for raw virtio and for Linux."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from harness.guest.answer import Answer
from harness.host.flows import UNCOUNTED
from harness.record.landed import Landed

WAS_TOLD = "the guest was told"
"""How a driver's witness begins."""
Inject = Callable[[Sequence[bytes]], None]


class Ledger:
    """Accounts for frames by identity over a NIC's whole life: where each one landed, twice, late, or never."""

    def __init__(self) -> None:
        self._next = 0
        self._batch: dict[int, int | None] = {}
        self._given_up: set[int] = set()
        self._twice = self._late = 0
        self.missing = 0
        """Frames of this batch not seen yet."""

    def open(self, count: int) -> range:
        """Begin a batch of `count` frames; their identities. What the batch before still lacks is given up."""
        self._given_up.update(identity for identity, pair in self._batch.items() if pair is None)
        identities = range(self._next, self._next + count)
        self._next += count
        self._batch = dict.fromkeys(identities)
        self.missing = count
        self._twice = self._late = 0
        return identities

    def arrived(self, pair: int, identity: int) -> None:
        """Enter one arrival."""
        if identity == UNCOUNTED:
            return
        if self._batch.get(identity, 0) is None:
            self._batch[identity] = pair
            self.missing -= 1
        elif identity in self._given_up:
            self._given_up.discard(identity)
            self._late += 1
        else:
            self._twice += 1

    def landed(self) -> Landed:
        """The batch's account as it stands."""
        by_pair = Counter(pair for pair in self._batch.values() if pair is not None)
        return Landed(len(self._batch), dict(by_pair), self.missing, self._twice, self._late)


class GuestDriver(Protocol):
    """A driver bound to one NIC. Pairs are numbered from 0."""

    name: str
    """`probe` or `linux`."""

    @property
    def running(self) -> bool:
        """Whether the device is started, so that guest and host can be compared."""

    @property
    def believed_pairs(self) -> frozenset[int]:
        """The guest's witness: the pairs that the driver was told are active."""

    def start(self) -> None:
        """Start the device as this driver does. Raises GuestError if it does not start."""

    def set_pairs(self, pairs: int) -> Answer:
        """Ask the device for this many active pairs; what it answered, if it did."""

    def receive(self, inject: Inject, frames: Sequence[bytes], ledger: Ledger) -> Landed:
        """Let `inject` send these stamped frames, and account for them. Their ledger batch is open."""

    def transmit(self, pair: int, frames: Sequence[bytes]) -> int:
        """Send these frames on one pair; how many of their buffers the device gave back in time."""

    def reset(self) -> None:
        """Reset the device, and start it anew as it was first started."""
