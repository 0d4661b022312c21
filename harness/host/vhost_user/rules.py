"""How the proxy alters what a VMM says: each rule makes a sound VMM look like one with a certain bug."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.errors import BadInput
from harness.host.vhost_user.log import Entry
from harness.host.vhost_user.matching import Match, require_acknowledged
from harness.host.vhost_user.messages import Kind, replies
from harness.host.vhost_user.payloads import U64, VringState
from harness.host.vhost_user.wire import NEED_REPLY, Message, request


@dataclass
class Verdict:
    """What becomes of a message: what is sent to the back end, and what the VMM is told.

    `forward`: sent in its place; the back end's reply goes to the VMM. Without it the VMM, if it wants a reply or
    the kind has one of its own, gets `answer` at once.
    `extra`: further messages, each with the seconds after which it is sent; they ask for no reply.
    """

    forward: Message | None
    answer: int = 0
    extra: list[tuple[float, Message]] = field(default_factory=list)


class Rule(ABC):
    """One alteration. An object serves one proxy."""

    @abstractmethod
    def apply(self, entry: Entry, message: Message) -> Verdict | None:
        """The fate of a message of the VMM's, or None where the rule does not concern it.

        A rule that keeps the message for later owns its descriptors from then on.
        """

    def restart(self) -> None:
        """A new connection begins: forget what was said on the last."""
        return


@dataclass(eq=False)
class Drop(Match, Rule):
    """The back end never hears of it, and the VMM believes that it did."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_acknowledged(self.kind, "dropping")

    def apply(self, entry: Entry, message: Message) -> Verdict | None:
        """See Rule."""
        return Verdict(None) if self.strikes(entry) else None

    def __str__(self) -> str:
        return f"drop {super().__str__()}"


class DropLaterMemory(Rule):
    """Drops what is said of guest memory once a vring was started, and lets the VMM believe that it was heard."""

    def __init__(self) -> None:
        self.struck = 0
        self._started = False

    def apply(self, entry: Entry, message: Message) -> Verdict | None:
        """See Rule."""
        self._started |= entry.kind is Kind.SET_VRING_KICK
        if not self._started or entry.kind not in (Kind.SET_MEM_TABLE, Kind.ADD_MEM_REG):
            return None
        self.struck += 1
        return Verdict(None)

    def restart(self) -> None:
        """See Rule."""
        self._started = False

    def __str__(self) -> str:
        return "drop later memory"


@dataclass(eq=False)
class Deny(Match, Rule):
    """The back end never hears of it, and the VMM is told that the back end refused."""

    answer: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_acknowledged(self.kind, "denying")

    def apply(self, entry: Entry, message: Message) -> Verdict | None:
        """See Rule."""
        return Verdict(None, self.answer) if self.strikes(entry) else None

    def __str__(self) -> str:
        return f"deny {super().__str__()}"


@dataclass(eq=False)
class Claim(Match, Rule):
    """The back end is not asked: the VMM is answered `answer` to a message that has a reply of its own."""

    answer: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not replies(self.kind):
            raise BadInput(f"{self.kind.name} has no reply of its own that could be claimed")

    def apply(self, entry: Entry, message: Message) -> Verdict | None:
        """See Rule."""
        return Verdict(None, self.answer) if self.strikes(entry) else None

    def __str__(self) -> str:
        return f"claim {self.answer:#x} for {super().__str__()}"


@dataclass(eq=False)
class Add(Match, Rule):
    """The back end is told of further bits in a mask, beside those that the VMM sends."""

    bits: int = 0

    def apply(self, entry: Entry, message: Message) -> Verdict | None:
        """See Rule."""
        if not self.strikes(entry) or not isinstance(entry.args, U64):
            return None
        return Verdict(Message(message.kind, message.flags, U64(entry.args.number | self.bits).encode()))

    def __str__(self) -> str:
        return f"add {self.bits:#x} to {super().__str__()}"


@dataclass(eq=False)
class Late(Match, Rule):
    """The VMM is told at once that it is done; the back end hears of it `delay` seconds later, behind what follows."""

    delay: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_acknowledged(self.kind, "delaying")

    def apply(self, entry: Entry, message: Message) -> Verdict | None:
        """See Rule."""
        return Verdict(None, extra=[(self.delay, _unanswered(message))]) if self.strikes(entry) else None

    def __str__(self) -> str:
        return f"late by {self.delay} s {super().__str__()}"


@dataclass(eq=False)
class Swap(Match, Rule):
    """Every two messages that match reach the back end in reverse order. A last one without a second never does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_acknowledged(self.kind, "reordering")
        self._first: Message | None = None

    def apply(self, entry: Entry, message: Message) -> Verdict | None:
        """See Rule."""
        if not self.strikes(entry):
            return None
        if self._first is None:
            self._first = _unanswered(message)
            return Verdict(None)
        first, self._first = self._first, None
        return Verdict(message, extra=[(0.0, first)])

    def restart(self) -> None:
        """See Rule."""
        if self._first:
            self._first.close()
        self._first = None

    def __str__(self) -> str:
        return f"swap {super().__str__()}"


@dataclass(eq=False)
class Flip(Match, Rule):
    """SET_VRING_ENABLE with the opposite value."""

    kind: Kind = Kind.SET_VRING_ENABLE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind is not Kind.SET_VRING_ENABLE:
            raise BadInput(f"only SET_VRING_ENABLE has an opposite, {self.kind.name} has none")

    def apply(self, entry: Entry, message: Message) -> Verdict | None:
        """See Rule."""
        if not self.strikes(entry) or entry.ring is None:
            return None
        return Verdict(_enable(entry.ring, not entry.value, message.flags))

    def __str__(self) -> str:
        return f"flip {super().__str__()}"


class _Rewritten(Rule):
    """Base of rules under which the enabled rings are a function of those that the VMM wants enabled."""

    def __init__(self, pairs: int) -> None:
        self._rings = 2 * pairs
        self.struck = 0
        """Messages after which the back end was told something else than the VMM said."""
        self.restart()

    def restart(self) -> None:
        """See Rule."""
        self._wanted: set[int] = set()
        self._told: set[int] = set()

    @abstractmethod
    def _effective(self, wanted: set[int]) -> set[int]:
        """The rings to enable in the back end."""

    def apply(self, entry: Entry, message: Message) -> Verdict | None:
        """See Rule."""
        if entry.kind is not Kind.SET_VRING_ENABLE or entry.ring is None or entry.ring >= self._rings:
            return None
        change = self._wanted.add if entry.value else self._wanted.discard
        change(entry.ring)
        effective = self._effective(self._wanted) & set(range(self._rings))
        others = sorted((effective ^ self._told) - {entry.ring})
        altered = (entry.ring in effective) != bool(entry.value)
        self._told = effective
        if not others and not altered:
            return None
        self.struck += 1
        extra = [(0.0, _enable(ring, ring in effective)) for ring in others]
        return Verdict(_enable(entry.ring, entry.ring in effective, message.flags), extra=extra)


class DropLast(_Rewritten):
    """Of the rings that the VMM wants enabled the highest stays disabled: a loop that ends one too early."""

    def _effective(self, wanted: set[int]) -> set[int]:
        return wanted - {max(wanted, default=0)}

    def __str__(self) -> str:
        return "drop the last enabled ring"


class OnePairTooMany(_Rewritten):
    """The pair above those that the VMM wants enabled is enabled as well: a loop that ends one too late."""

    def _effective(self, wanted: set[int]) -> set[int]:
        return wanted | {ring + 2 for ring in wanted}

    def __str__(self) -> str:
        return "enable one pair too many"


def _enable(ring: int, on: bool, flags: int = request(0).flags) -> Message:
    return Message(Kind.SET_VRING_ENABLE, flags, VringState(ring, int(on)).encode())


def _unanswered(message: Message) -> Message:
    """A message that asks for no reply, from one that may; takes over its descriptors."""
    kept = Message(message.kind, message.flags & ~NEED_REPLY, message.body, message.fds)
    message.fds = []
    return kept


Rules = Callable[[int], Sequence[Rule]]
"""Makes fresh rules for the proxy of a NIC with the given number of pairs."""


def unaltered(pairs: int) -> Sequence[Rule]:
    """No rules: then there is no proxy either."""
    return ()
