"""The ordered record of everything that was said on a vhost-user connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from harness.host.vhost_user.messages import Kind, kind_name
from harness.host.vhost_user.payloads import Payload


class Event(Enum):
    """What happens to a connection, beside messages."""

    CONNECTED = "connected"
    LOST = "lost"


class Sender(Enum):
    """Who sent a message."""

    VMM = "VMM"
    BACKEND = "back end"
    PROXY = "proxy"
    """In a VMM's place."""


class EnableChange(NamedTuple):
    """One SET_VRING_ENABLE: the vring, and whether it was switched on."""

    ring: int
    on: bool


@dataclass(slots=True)
class Entry:
    """One message, or one event. Later fields are filled in once the message was handled."""

    number: int
    """Position in the log, from 0."""
    time: float
    """Arrival, in seconds of time.monotonic()."""
    connection: int
    """Which connection, from 1."""
    kind: Kind | Event | int
    """An int is the id of a message that the protocol does not know."""
    sender: Sender = Sender.VMM
    ring: int | None = None
    value: int | None = None
    """The message's one number: a feature mask, a size, an index, 1 or 0 of an enable."""
    args: Payload | str | None = None
    """The decoded body; for a lost connection, how it was lost."""
    fds: int = 0
    """How many descriptors came along."""
    need_reply: bool = False
    reply: int | None = None
    """The number that was answered: 0 is success where the kind has no reply of its own."""
    fault: str | None = None
    """The fault or proxy rule that struck the message."""
    seconds: float | None = None
    """From arrival until it was handled and answered; None while it is not."""

    @property
    def name(self) -> str:
        """What it is, as a word."""
        return self.kind.value if isinstance(self.kind, Event) else kind_name(self.kind)

    def __str__(self) -> str:
        words = [f"#{self.connection}", self.sender.value, self.name]
        words += [f"vring {self.ring}"] if self.ring is not None else []
        words += [f"= {self.value:#x}"] if self.value is not None else []
        words += [f"({self.args})"] if isinstance(self.args, str) else []
        words += [f"-> {self.reply:#x}"] if self.reply is not None else []
        words += [f"[{self.fault}]"] if self.fault else []
        return " ".join(words)


class MessageLog:
    """All entries, oldest first. Entries are only ever appended, so a position is a lasting mark.

    `lock` is held while a message is handled, so that a reader sees an entry that is complete, or that still waits.
    """

    def __init__(self, lock: AbstractContextManager[object]) -> None:
        self._lock = lock
        self._entries: list[Entry] = []

    def add(self, make: Callable[[int], Entry]) -> Entry:
        """Append the entry that `make` builds for its number."""
        entry = make(len(self._entries))
        self._entries.append(entry)
        return entry

    def mark(self) -> int:
        """The present end, for `since`."""
        return len(self)

    def entries(
        self, kind: Kind | Event | int | None = None, *, since: int = 0, ring: int | None = None
    ) -> list[Entry]:
        """The entries from a mark on, of one kind or of all, about one vring or about any."""
        with self._lock:
            found = self._entries[since:]
        return [e for e in found if kind in (None, e.kind) and ring in (None, e.ring)]

    def enables(self, since: int = 0) -> list[EnableChange]:
        """Every SET_VRING_ENABLE that the VMM sent from a mark on, in order."""
        found = self.entries(Kind.SET_VRING_ENABLE, since=since)
        return [
            EnableChange(e.ring, bool(e.value))
            for e in found
            if e.sender is Sender.VMM and e.ring is not None
        ]

    def dump(self, path: Path) -> None:
        """Write it as JSON lines."""
        path.write_text("".join(f"{json.dumps(_plain(each))}\n" for each in self))

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())


def _plain(value: object) -> object:
    if isinstance(value, Kind | Event):
        return kind_name(value) if isinstance(value, Kind) else value.value
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value.hex() if isinstance(value, bytes) else value
