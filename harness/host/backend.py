"""What network backends offer: where a NIC is plugged in and what the host can say of its pairs; frames; messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from harness.host.changes import Change
from harness.host.vhost_user.log import Entry
from harness.record.pairs import Count, Pairs
from harness.vmm.base import Attachment


@dataclass(frozen=True, repr=False)
class HostView:
    """The host's witness: the pairs it holds active, and how many it holds at all.

    Active means an attached tap queue, or enabled vrings. `count` comes from another source than `pairs` where
    there is one (rtnetlink beside the descriptors), so that the two can be checked against each other.
    """

    count: int
    pairs: frozenset[int]
    total: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairs", Pairs(self.pairs, "the host holds"))
        object.__setattr__(self, "count", Count(self.count, "the host counts"))

    @property
    def consistent(self) -> bool:
        """Whether the host's own sources agree."""
        return self.count == len(self.pairs)

    def __str__(self) -> str:
        return repr(self.pairs) if self.consistent else f"{self.pairs!r} ({self.count!r})"

    __repr__ = __str__  # pytest shows it in failed assertions


@dataclass(frozen=True)
class Place:
    """Where a network backend is made: `name` is one that no interface has, `folder` an empty folder of its own.

    `multi_queue`: whether the VMM that comes there opens a queue of a tap for each pair.
    """

    name: str
    folder: Path
    multi_queue: bool = True


class NetworkBackend(Protocol):
    """A tap or a vhost-user back end under one NIC, and the host's witness of its pairs."""

    kind: str
    """`tap` or `vhost-user`."""
    away: bool
    """Whether there is nobody who could tell of the pairs: a back end that was ended by the test."""

    @property
    def attachment(self) -> Attachment:
        """What the VMM is told to plug the NIC into."""

    def adopt(self) -> None:
        """Called once the VMM runs, before anything else is asked."""

    def view(self, pid: int) -> HostView:
        """What VMM process `pid` holds active now."""

    def changes(self) -> list[Change]:
        """What changed since the last call, in order."""

    def sibling(self, place: Place, pairs: int) -> Self:
        """Another one of the same kind, for a NIC of `pairs` pairs."""

    def failure(self) -> str:
        """What of the suite's own under the NIC has failed, a thread or a program; empty if nothing has."""

    def close(self) -> None:
        """Give the backend up. The VM is stopped before."""


@runtime_checkable
class FramePort(Protocol):
    """A network backend that puts the suite's frames on the NIC's wire, and takes the guest's off it."""

    def inject(self, frames: Sequence[bytes]) -> None:
        """Send Ethernet frames to the guest, in order."""

    def capture(self) -> list[bytes]:
        """The Ethernet frames that the guest sent since the last call, in order."""


@runtime_checkable
class VhostUserPeer(Protocol):
    """A network backend to which the VMM speaks the vhost-user protocol."""

    def messages(self) -> list[Entry]:
        """Every message and event, oldest first."""
