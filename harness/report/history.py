"""Since when a test is red: what earlier runs, kept in the report folder or elsewhere, say of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.bounded import Unreadable, read_file
from harness.record import schema1
from harness.record.results import LIMIT, SCHEMA, Result, Run, Verdict, VmmInfo

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


class _Column(msgspec.Struct, frozen=True):
    name: str
    kind: str = ""
    version: str = ""
    sha256: str = ""


class _Earlier(msgspec.Struct, frozen=True):
    schema: int
    started: str
    results: tuple[_Told, ...]
    vmms: tuple[_Column, ...] = ()


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
            return f"new: last passed {day(self.green)}"
        if self.first is None:
            return "not judged in any earlier run"
        runs = f"{self.runs} earlier run{'s' * (self.runs != 1)}"
        text = f"red since {day(self.first)}, {runs}"
        return f"{text}; last passed {day(self.green)}" if self.green else f"{text}, never green"


def day(when: tuple[str, str]) -> str:
    """When a run began, and a build's version if it has one."""
    started, version = when
    return f"{started[:16].replace('T', ' ')} ({version})" if version else started[:16].replace("T", " ")


class History:
    """Earlier runs, oldest first. A build is followed by its bytes, whatever it was called; else by its name."""

    def __init__(
        self, earlier: Iterable[_Earlier] = (), unreadable: int = 0, now: Sequence[VmmInfo] = ()
    ) -> None:
        self.runs = 0
        """How many there are."""
        self.unreadable = unreadable
        """How many files were none of ours, of another schema, or cut short."""
        self._told: dict[tuple[str, str], list[tuple[str, _Told]]] = defaultdict(list)
        self._files: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        for run in sorted(earlier, key=lambda run: run.started):
            self.runs += 1
            columns = _columns(run, now)
            for told in run.results:
                if told.judged and (name := columns.get(told.vmm)) is not None:
                    self._told[told.test, name].append((run.started, told))
            for vmm in run.vmms:
                if vmm.sha256:
                    self._files[vmm.kind, vmm.version][vmm.sha256] = run.started

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

    def other_bytes(self, vmm: VmmInfo) -> str | None:
        """When the newest earlier run began in which another file said this version; None if none did."""
        others = self._files.get((vmm.kind, vmm.version), {})
        found = [started for sha256, started in others.items() if vmm.sha256 and sha256 != vmm.sha256]
        return max(found, default=None)


def _columns(earlier: _Earlier, now: Sequence[VmmInfo]) -> dict[str, str]:
    """Which column of today each of an earlier run is: that of the same bytes, else that of its name."""
    by_bytes = {vmm.sha256: vmm.name for vmm in now if vmm.sha256}
    same = {vmm.name: by_bytes[vmm.sha256] for vmm in earlier.vmms if vmm.sha256 in by_bytes}
    taken = set(same.values())
    names = dict.fromkeys([*(vmm.name for vmm in earlier.vmms), *(told.vmm for told in earlier.results)])
    return {name: name for name in names if name not in taken} | same


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
    return History(found, unreadable, before.vmms)


def _newest(folders: Sequence[Path]) -> list[Path]:
    """Runs are kept in folders that are named by when they began."""
    files = {file.resolve() for folder in folders for file in folder.glob("*/results.json")}
    return sorted(files, key=lambda file: file.parent.name)[-NEWEST:]
