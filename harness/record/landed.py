"""What became of a batch of frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.record.pairs import Pairs

EACH_ONCE = "every frame should arrive once"


@dataclass(frozen=True, repr=False)
class Landed:
    """What became of `sent` frames.

    `by_pair`: how many arrived on each pair, each frame counted once. `lost`: never seen. `twice`: seen again
    after the first time. `late`: frames of an earlier batch, given up as lost then, that arrived only now.
    `returned`, for frames that the guest sent: how many of their buffers the device gave back.
    """

    sent: int
    by_pair: Mapping[int, int] = field(default_factory=dict)
    lost: int = 0
    twice: int = 0
    late: int = 0
    returned: int = 0

    @property
    def pairs(self) -> frozenset[int]:
        """The pairs on which anything arrived."""
        return Pairs((pair for pair, count in self.by_pair.items() if count), "frames landed on")

    @property
    def exactly_once(self) -> EachOnce:
        """Whether every frame arrived exactly once, and nothing else did."""
        return EachOnce(self)

    def __str__(self) -> str:
        places = ", ".join(f"pair {pair}: {self.by_pair[pair]}" for pair in sorted(self.by_pair)) or "nowhere"
        return f"{self.sent} frames sent; landed on {places}{', ' * bool(self.astray)}{self.astray}"

    __repr__ = __str__  # pytest shows it in failed assertions

    @property
    def astray(self) -> str:
        """What did not arrive exactly once, in words; empty if all did."""
        return ", ".join(f"{count} {word}" for word, count in self._rest().items() if count)

    def _rest(self) -> dict[str, int]:
        return {"lost": self.lost, "seen twice": self.twice, "late": self.late}


@dataclass(frozen=True, repr=False)
class EachOnce:
    """Whether each of some frames arrived exactly once. It shows itself in failed assertions."""

    landed: Landed

    def __bool__(self) -> bool:
        return not self.landed.astray

    def __repr__(self) -> str:
        return f"{EACH_ONCE}: {self.landed}"
