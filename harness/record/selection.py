"""What a run sets out to do, kept in its folder from the moment it is known: whoever collects tests writes it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.record.results import NotRun, Shard
from harness.record.store import write_atomically

FILE = "selection.json"


class Selection(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which tests, how many were left out on request, and the share of the suite, if it is not all of it.

    `narrowed`: the command line chose tests.
    """

    tests: tuple[NotRun, ...] = ()
    deselected: int = 0
    shard: Shard | None = None
    narrowed: bool = False

    def write(self, folder: Path) -> None:
        """Put it into a run's folder. Raises OSError."""
        write_atomically(folder / FILE, msgspec.json.encode(self))

    @staticmethod
    def read(folder: Path) -> Selection | None:
        """What is in a run's folder; None where there is none."""
        try:
            return msgspec.json.decode((folder / FILE).read_bytes(), type=Selection)
        except (OSError, msgspec.DecodeError):
            return None
