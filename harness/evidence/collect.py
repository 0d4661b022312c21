"""From pytest's reports to the records of a run: one result per test and VMM, whichever worker found it."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from harness.errors import BadInput
from harness.record import ongoing
from harness.record.results import Result, Run, VmmInfo, from_dict, load, utc_now
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
        self._results: dict[ongoing.Key, Result] = {}
        self.selection = Selection()
        """What the run sets out to do, as far as it is known."""
        self.unsaved = ""
        """Why the results are not where they should be, in a sentence that says where they are."""
        self._lock: int | None = None
        with suppress(OSError):  # a full disk: what this run finds is kept in memory
            self._lock = ongoing.begin(self.store.folder, self.run(complete=False))

    def add(self, report: pytest.TestReport) -> None:
        """Take the result that a report carries. The worst of a test's phases stands."""
        plain: dict[str, Any] | None = getattr(report, ATTRIBUTE, None)
        if plain is None:
            return
        result = from_dict(plain)
        self._results |= ongoing.merged([*self._known(result), result])

    def _known(self, result: Result) -> list[Result]:
        before = self._results.get((result.test, result.vmm))
        return [] if before is None else [before]

    def save(self, *, complete: bool) -> None:
        """Write the run down, with what workers that died had judged and not told. Raises Unavailable."""
        self._results = ongoing.merged([*self._results.values(), *ongoing.written(self.store.folder)])
        self.store.save(self.run(complete=complete))
        self._end()

    def where(self) -> str:
        """Where the results are, in a sentence that says what is on top of the report folder, if not they."""
        on_top, own = (folder / "results.json" for folder in (self.store.report, self.store.folder))
        run = self.run(complete=True)
        try:
            there = load(on_top)
        except BadInput:
            return f"results: {own}"
        if there.folder == run.folder:
            return f"results: {on_top}"
        what = "of a part of the suite" if run.is_part else "of a run without an end"
        return f"results: {own}, {what}; {on_top} is still that of the whole run of {there.started}"

    def discard(self) -> None:
        """Leave nothing of a run that was about nothing."""
        self._end()
        self.store.discard()

    def _end(self) -> None:
        ongoing.end(self.store.folder)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def run(self, *, complete: bool) -> Run:
        """The run as it stands."""
        head = Run(
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
            started=self._started,
            finished=utc_now(),
            command=self._command,
            complete=complete,
            folder=str(self.store.folder.relative_to(self.store.report)),
        )
        self._learn_selection()
        return ongoing.as_far(head, self.selection, self._results)

    def _learn_selection(self) -> None:
        """A worker may tell that it has collected before what it wrote of it is there: look again."""
        if not self.selection.tests:
            self.selection = Selection.read(self.store.folder) or self.selection

    @property
    def anything(self) -> bool:
        """Whether there is any result or intention worth writing down."""
        self._learn_selection()
        return bool(self._results or self.selection.tests)
