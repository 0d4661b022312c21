"""Known flakes of the suite itself: each with a reason, a link, and the day on which it is one no more.

A test of which a VMM's behaviour is a matter of chance is none: that is a race of a baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec

from harness.bounded import Unreadable, read_toml
from harness.checkout import SUITE
from harness.errors import BadInput
from harness.expected.baseline import matches

FILE: Path = SUITE / "quarantine.toml"


class Quarantined(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tests whose flips are known."""

    tests: tuple[str, ...]
    """Patterns of test ids, without the VMM."""
    reason: str
    link: str
    """Where it is being worked on."""
    expires: date
    """The last day."""

    def covers(self, test: str) -> bool:
        """Whether it is about this test."""
        return any(matches(glob, test) for glob in self.tests)

    def words(self, today: date) -> str:
        """For people: why a flip is known, or was."""
        until = f"until {self.expires}" if today <= self.expires else f"which ENDED on {self.expires}"
        return f"quarantined {until}: {self.reason} ({self.link})"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    quarantine: tuple[Quarantined, ...] = ()


def load_quarantine(path: Path = FILE) -> tuple[Quarantined, ...]:
    """Read the file. Raises BadInput for one that is damaged, or says nothing of reason or link."""
    try:
        found = msgspec.convert(read_toml(path), _File).quarantine
    except Unreadable as error:
        raise BadInput(f"the quarantine {path} {error}") from None
    except msgspec.ValidationError as error:
        raise BadInput(f"the quarantine {path} has something wrong in it: {error}") from None
    for number, entry in enumerate(found, 1):
        if not entry.tests or not entry.reason.strip() or not entry.link.strip():
            raise BadInput(f"the quarantine {path} lacks tests, a reason or a link in its entry {number}")
    return found


def quarantine_of(test: str, entries: Sequence[Quarantined]) -> Quarantined | None:
    """The entry about a test, the one that lasts longest."""
    return max((entry for entry in entries if entry.covers(test)), key=lambda e: e.expires, default=None)
