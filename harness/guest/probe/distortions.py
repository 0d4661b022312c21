"""Mutants of what a device says of itself: for tests that no TUNSETQUEUE of the VMM's can make fail.

The device is a real one; what the driver reads from it, or asks of it, is altered on the way. That is as far from
outside as one gets with an unmodified binary, and enough to show that a test looks at what it claims to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.guest.probe.bus import Operation
from harness.guest.probe.device import QueueFacts, VirtioDevice
from harness.guest.probe.features import Feature

SPARE_SIZE = 64


class OffersRss(VirtioDevice):
    """Offers receive-side scaling that it does not implement."""

    def offered(self) -> Feature:
        """One feature too many."""
        return super().offered() | Feature.RSS


class MissesControlQueue(VirtioDevice):
    """Offers multiqueue without the control queue that it needs."""

    def offered(self) -> Feature:
        """One feature too few."""
        return super().offered() & ~Feature.CTRL_VQ


class CountsOneMore(VirtioDevice):
    """Has a max_virtqueue_pairs that is one too large."""

    def config(self, offset: int, width: int) -> int:
        """One pair more than there is."""
        return super().config(offset, width) + 1


class HasEndlessQueues(VirtioDevice):
    """Gives a size to queues that do not exist."""

    def queue_facts(self, indices: Sequence[int]) -> list[QueueFacts]:
        """No size is 0."""
        return [replace(fact, size=fact.size or SPARE_SIZE) for fact in super().queue_facts(indices)]


class RingsTheNextBell(VirtioDevice):
    """Takes a queue's doorbell for that of the next."""

    def doorbell(self, index: int) -> Operation:
        """The right address, the wrong number."""
        bell = super().doorbell(index)
        return replace(bell, value=index + 1, address=bell.address + self.transport.bell_stride)


@dataclass(frozen=True)
class Distortion:
    """A way to be wrong: its name, what is seen, and the device that shows it."""

    name: str
    sentence: str
    device: Callable[..., VirtioDevice]


DISTORTIONS = (
    Distortion("offers-rss", "RSS is offered and not there", OffersRss),
    Distortion("mq-without-control", "multiqueue is offered without a control queue", MissesControlQueue),
    Distortion("max-pairs-too-large", "max_virtqueue_pairs is one more than there are pairs", CountsOneMore),
    Distortion("endless-queues", "queues that do not exist have a size", HasEndlessQueues),
    Distortion("next-doorbell", "each doorbell reaches the next queue", RingsTheNextBell),
)
