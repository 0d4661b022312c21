"""From pytest's reports to the records of a run: one result per test and VMM, whichever worker found it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from harness.record.results import NotRun, Result, Run, Shard, VmmInfo, from_dict, utc_now
from harness.record.store import RunStore
from harness.run.session import Session

ATTRIBUTE = "conformance"
"""Where a report carries its result, as plain data, from a worker to the main process."""


def split_name(nodeid: str, vmm: str) -> str:
    """A test's name without its VMM: `t.py::test_a[base-probe-3]` on base is `t.py::test_a[probe-3]`."""
    head, bracket, inside = nodeid.partition("[")
    if not bracket:
        return nodeid
    words = inside.removesuffix("]")
    rest = words.removeprefix(vmm).removeprefix("-")
    return f"{head}[{rest}]" if rest else head


def vmm_of(nodeid: str, vmms: Iterable[str]) -> str | None:
    """The one of these VMMs that a test is crossed with, told by its node id; None for a test without any."""
    words = nodeid.partition("[")[2].removesuffix("]")
    return max((name for name in vmms if f"{words}-".startswith(f"{name}-")), key=len, default=None)


@lru_cache
def _sha256(binary: Path) -> str:
    """Which bytes a build is, as far as it can be read."""
    try:
        with binary.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


class Collector:
    """Gathers results in the main process and writes them to the report folder."""

    def __init__(self, report: Path, command: Iterable[str]) -> None:
        self.store = RunStore(report)
        self._started = utc_now()
        self._command = tuple(command)
        self._results: dict[tuple[str, str], Result] = {}
        self._selected: dict[tuple[str, str], NotRun] = {}
        self.deselected = 0
        """How many tests were left out on request."""
        self.shard: Shard | None = None
        """The share of the suite that the run is about, if not all of it."""

    def select(self, test: str, vmm: str) -> None:
        """Enter a test that the run sets out to do."""
        self._selected[test, vmm] = NotRun(test, vmm)

    def deselect(self, count: int) -> None:
        """Enter how many were left out on request."""
        self.deselected += count

    def add(self, report: pytest.TestReport) -> None:
        """Take the result that a report carries. The worst of a test's phases stands."""
        plain: dict[str, Any] | None = getattr(report, ATTRIBUTE, None)
        if plain is None:
            return
        result = from_dict(plain)
        key = (result.test, result.vmm)
        before = self._results.get(key)
        if before is None or (result.verdict.is_bad and not before.verdict.is_bad):
            self._results[key] = result

    def run(self, session: Session, *, complete: bool) -> Run:
        """The run as it stands."""
        return Run(
            host={
                "kernel": platform.release(),
                "machine": platform.machine(),
                "python": platform.python_version(),
                "seed": session.seed,
                "abilities": {name: ability.lines() for name, ability in session.abilities.items()},
                "lab": sorted({result.lab for result in self._results.values() if result.lab}),
            },
            vmms=tuple(
                VmmInfo(vmm.name, vmm.kind, vmm.version, str(vmm.path), _sha256(vmm.path))
                for vmm in session.vmms
            ),
            results=tuple(self._results.values()),
            started=self._started,
            finished=utc_now(),
            command=self._command,
            complete=complete,
            selected=max(len(self._selected), len(self._results)),
            deselected=self.deselected,
            shard=self.shard,
            not_run=tuple(entry for key, entry in self._selected.items() if key not in self._results),
        )

    @property
    def anything(self) -> bool:
        """Whether there is any result or intention worth writing down."""
        return bool(self._results or self._selected)
