"""Frames as the Linux guest counts them: by queue in use, and in total over all queues."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import GuestError


@dataclass(frozen=True)
class Frames:
    """Frames that a NIC counted, since the guest booted or (as a difference) since an earlier look.

    `per_queue`: by queue, of the queues in use. `total`: over all queues that the NIC has, in use or not: the
    driver sums all of them for `ip -s link`, and lists those in use for `ethtool -S` (Linux 6.1, virtio_net.c).
    """

    per_queue: tuple[int, ...]
    total: int

    @property
    def above(self) -> int:
        """Frames on queues not in use. Meaningful in a difference: queues keep their counts for life."""
        return self.total - sum(self.per_queue)

    @property
    def queues(self) -> frozenset[int]:
        """The queues in use that counted any."""
        return frozenset(queue for queue, frames in enumerate(self.per_queue) if frames)

    def __sub__(self, before: Frames) -> Frames:
        """What came since `before`. Raises GuestError if another number of queues was in use then."""
        if len(self.per_queue) != len(before.per_queue):
            raise GuestError(
                "the guest changed its queues by itself: it used "
                f"{len(before.per_queue)} before, and {len(self.per_queue)} now"
            )
        pairs = zip(self.per_queue, before.per_queue, strict=True)
        return Frames(tuple(now - then for now, then in pairs), self.total - before.total)
