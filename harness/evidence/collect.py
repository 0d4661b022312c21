"""From pytest's reports to the records of a run: one result per test and VMM, whichever worker found it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from harness.record.results import Result, Run, VmmInfo, from_dict, utc_now
from harness.record.selection import Selection
from harness.record.store import RunStore
from harness.vmm.base import Vmm

ATTRIBUTE = "conformance"
"""Where a report carries its result, as plain data, from a worker to the main process."""


@lru_cache
def _sha256(binary: Path) -> str:
    """Which bytes a build is, as far as it can be read."""
    try:
        with binary.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


class Collector:
    """Gathers results in the main process and writes them to the report folder.

    `vmms` are the builds under test, `facts` what else is known of the run before it begins.
    """

    def __init__(
        self, report: Path, command: Iterable[str], vmms: Sequence[Vmm] = (), facts: Mapping[str, Any] = {}
    ) -> None:
        self._vmms = tuple(vmms)
        self._facts = facts
        self.store = RunStore(report)
        self._started = utc_now()
        self._command = tuple(command)
        self._results: dict[tuple[str, str], Result] = {}
        self.selection = Selection()
        """What the run sets out to do, as far as it is known."""

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

    def run(self, *, complete: bool) -> Run:
        """The run as it stands."""
        return Run(
            host={
                "kernel": platform.release(),
                "machine": platform.machine(),
                "python": platform.python_version(),
                **self._facts,
                "lab": sorted({result.lab for result in self._results.values() if result.lab}),
            },
            vmms=tuple(
                VmmInfo(vmm.name, vmm.kind, vmm.version, str(vmm.path), _sha256(vmm.path))
                for vmm in self._vmms
            ),
            results=tuple(self._results.values()),
            started=self._started,
            finished=utc_now(),
            command=self._command,
            complete=complete,
            selected=max(len(self.selection.tests), len(self._results)),
            deselected=self.selection.deselected,
            shard=self.selection.shard,
            not_run=tuple(
                case for case in self.selection.tests if (case.test, case.vmm) not in self._results
            ),
        )

    @property
    def anything(self) -> bool:
        """Whether there is any result or intention worth writing down."""
        return bool(self._results or self.selection.tests)
