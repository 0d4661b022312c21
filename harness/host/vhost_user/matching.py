"""Picking messages out of the stream: what faults of the back end and rules of the proxy act on."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import BadInput
from harness.host.vhost_user.log import Entry
from harness.host.vhost_user.messages import Kind, replies
from harness.record.pairs import ARRIVED, Count


@dataclass(eq=False)
class Match:
    """Messages of a kind, optionally of one vring or with one value; `nth`: only the n-th of those, from 1.

    Counting starts when the object comes into use, and one object serves one back end or proxy.
    """

    kind: Kind
    ring: int | None = None
    value: int | None = None
    nth: int | None = None

    def __post_init__(self) -> None:
        if self.nth is not None and self.nth < 1:
            raise BadInput(f"nth counts from 1, so {self.nth} is no message")
        self.seen = 0
        """Messages that fitted so far, whether or not they were the n-th."""
        self._struck = 0

    def strikes(self, entry: Entry) -> bool:
        """Whether to act on this message; counts it."""
        if (
            entry.kind != self.kind
            or self.ring not in (None, entry.ring)
            or self.value not in (None, entry.value)
        ):
            return False
        self.seen += 1
        if self.nth not in (None, self.seen):
            return False
        self._struck += 1
        return True

    @property
    def struck(self) -> int:
        """Messages that were acted on: 0 means that the fault or rule never came to bear."""
        return Count(self._struck, ARRIVED, Match.__str__(self), "")

    def __str__(self) -> str:
        words = [f"{self.kind.name}"]
        words += [f"of vring {self.ring}"] if self.ring is not None else []
        words += [f"= {self.value}"] if self.value is not None else []
        words += [f"(number {self.nth})"] if self.nth is not None else []
        return " ".join(words)


def require_acknowledged(kind: Kind, doing: str) -> None:
    """Raise BadInput for a kind with a reply of its own: no acknowledgement can stand in for that."""
    if replies(kind):
        raise BadInput(
            f"{kind.name} has a reply of its own, so {doing} it would leave the VMM without an answer"
        )
