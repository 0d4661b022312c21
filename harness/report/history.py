"""Since when a test is red: what earlier runs, kept in the report folder or elsewhere, say of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.bounded import Unreadable, read_file
from harness.record import schema1
from harness.record.results import LIMIT, SCHEMA, Result, Run, Verdict

NEWEST = 60
"""How many earlier runs are read."""


class _Told(msgspec.Struct, frozen=True):
    """As much of a result as is needed here: reading all of it takes ten times as long."""

    test: str
    vmm: str
    version: str
    verdict: Verdict
    disagreement: bool = False

    @property
    def red(self) -> bool:
        return self.verdict.is_bad or self.disagreement

    @property
    def judged(self) -> bool:
        return self.verdict not in (Verdict.SKIP, Verdict.ERROR)


class _Earlier(msgspec.Struct, frozen=True):
    schema: int
    started: str
    results: tuple[_Told, ...]


@dataclass(frozen=True)
class Since:
    """How long a test has been red on the VMM of that name, by the earlier runs that judged it.

    `runs` counts those in a row that were red, up to the present one, which is not counted. `first` is the oldest of
    them, `green` the one before it; each is when the run began, and the build's version, or None if there is none.
    """

    runs: int
    first: tuple[str, str] | None
    green: tuple[str, str] | None

    @property
    def new(self) -> bool:
        """Whether it was green the last time."""
        return self.runs == 0 and self.green is not None

    def __str__(self) -> str:
        if self.new and self.green:
            return f"new: last passed {_day(self.green)}"
        if self.first is None:
            return "not judged in any earlier run"
        runs = f"{self.runs} earlier run{'s' * (self.runs != 1)}"
        text = f"red since {_day(self.first)}, {runs}"
        return f"{text}; last passed {_day(self.green)}" if self.green else f"{text}, never green"


def _day(when: tuple[str, str]) -> str:
    started, version = when
    return f"{started[:16].replace('T', ' ')} ({version})" if version else started[:16].replace("T", " ")


class History:
    """Earlier runs, oldest first."""

    def __init__(self, earlier: Iterable[_Earlier] = (), unreadable: int = 0) -> None:
        self.runs = 0
        """How many there are."""
        self.unreadable = unreadable
        """How many files were none of ours, of another schema, or cut short."""
        self._told: dict[tuple[str, str], list[tuple[str, _Told]]] = defaultdict(list)
        for run in sorted(earlier, key=lambda run: run.started):
            self.runs += 1
            for told in run.results:
                if told.judged:
                    self._told[told.test, told.vmm].append((run.started, told))

    def since(self, result: Result) -> Since:
        """How long this result has been so; for one that is red."""
        first: tuple[str, str] | None = None
        count = 0
        for started, told in reversed(self._told.get((result.test, result.vmm), ())):
            when = (started, told.version)
            if not told.red:
                return Since(count, first, when)
            first, count = when, count + 1
        return Since(count, first, None)


def load_history(folders: Sequence[Path], before: Run) -> History:
    """The runs in these folders and right below them that began before this one. What cannot be read is counted."""
    found: list[_Earlier] = []
    unreadable = 0
    decoder = msgspec.json.Decoder(_Earlier)
    for file in _newest(folders):
        try:
            earlier = decoder.decode(read_file(file, LIMIT))
        except (Unreadable, msgspec.DecodeError, UnicodeError, RecursionError):
            unreadable += 1
            continue
        if earlier.schema not in (SCHEMA, schema1.SCHEMA):
            unreadable += 1
        elif earlier.started < before.started:
            found.append(earlier)
    return History(found, unreadable)


def _newest(folders: Sequence[Path]) -> list[Path]:
    """Runs are kept in folders that are named by when they began."""
    files = {file.resolve() for folder in folders for file in folder.glob("*/results.json")}
    return sorted(files, key=lambda file: file.parent.name)[-NEWEST:]
