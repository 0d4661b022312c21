"""From one phase of a test to its verdict, with what a reader needs to understand and to repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from harness.errors import BadInput, DeadlineExceeded, GuestError, HarnessError, Unavailable, VmmError
from harness.evidence.bundle import write_bundle
from harness.evidence.collect import split_name
from harness.evidence.remains import remains
from harness.evidence.rerun import rerun_line
from harness.evidence.timeline import merged, text
from harness.record.results import PairRow, Result, Verdict, to_dict
from harness.record.table import pairs_table
from harness.run.session import Session
from harness.testbed.testbed import Testbed

LOG_LINES = 20
OF_THE_VMM = (VmmError, GuestError, DeadlineExceeded)
"""Errors that are a verdict on the VMM, wherever in a test they come up."""
OF_THE_HOST = (Unavailable, BadInput)
"""Errors that are none, wherever they come up: the test could not judge."""


def verdict_of(report: pytest.TestReport, error: BaseException | None) -> Verdict | None:
    """The verdict of one phase; None where the phase says nothing, as a passed setup does."""
    expected = hasattr(report, "wasxfail")
    if report.skipped:
        return Verdict.XFAIL if expected else Verdict.SKIP
    if report.passed:
        if report.when != "call":
            return None
        return Verdict.XPASS if expected else Verdict.PASS
    if error is None:  # nothing went wrong, which pytest counts as failed under xfail(strict=True)
        return Verdict.XPASS
    if isinstance(error, OF_THE_VMM) or (report.when == "call" and not isinstance(error, OF_THE_HOST)):
        return Verdict.FAIL
    return Verdict.ERROR


def reason_of(report: pytest.TestReport, error: BaseException | None) -> str:
    """One line on why the verdict is what it is; empty for a plain pass."""
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail).removeprefix("reason: ")
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    if error is None:
        return report.longreprtext if report.failed else ""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def requirements_of(item: pytest.Item) -> tuple[str, ...]:
    """The rows of the register that a test names."""
    return tuple(dict.fromkeys(row for mark in item.iter_markers("requirement") for row in mark.args))


def issues_of(item: pytest.Item) -> tuple[str, ...]:
    """The issues that a test reproduces, by number."""
    marks = {
        mark.name.removeprefix("issue_") for mark in item.iter_markers() if mark.name.startswith("issue_")
    }
    return tuple(sorted(marks))


class Judge:
    """Makes the record of each test phase in the process that ran it.

    `full` keeps guest memory in bundles. `options` are those of the run that a line which repeats a test needs.
    """

    def __init__(self, session: Session, *, full: bool = False, options: Sequence[str] = ()) -> None:
        self._session = session
        self._full = full
        self._options = options

    def judge(
        self,
        item: pytest.Item,
        report: pytest.TestReport,
        error: BaseException | None,
        testbed: Testbed | None,
    ) -> dict[str, Any] | None:
        """The record of this phase as plain data, or None if it has nothing to say.

        A failed phase is also given sections in pytest's own output: table of pairs, timeline, log, rerun line.
        """
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        verdict = verdict_of(report, error)
        if verdict is None or "vmm" not in parameters:
            return None
        vmm = self._session.vmm(parameters["vmm"])
        rows, disagreement = _witnesses(testbed)
        shown = verdict.is_bad or disagreement
        timeline = merged(testbed.journal, testbed.vms, testbed.nics) if testbed and shown else ()
        rerun = rerun_line(item.nodeid, vmm, self._session, parameters.get("writer"), self._options)
        if verdict.is_bad:
            if isinstance(error, HarnessError):
                report.longrepr = str(error)  # it is one sentence already; a traceback would bury it
            _show(report, testbed, rows, rerun)
        result = Result(
            test=split_name(item.nodeid, vmm.name),
            vmm=vmm.name,
            version=vmm.version,
            driver=parameters.get("driver"),
            backend=parameters.get("backend"),
            requirements=requirements_of(item),
            issues=issues_of(item),
            verdict=verdict,
            seconds=round(report.duration, 4),
            reason=reason_of(report, error),
            disagreement=disagreement,
            details=report.longreprtext if verdict.is_bad else "",
            witnesses=rows,
            timeline=timeline,
            rerun=rerun if shown else "",
            seed=self._session.seed,
        )
        if shown and testbed is not None and self._session.evidence is not None:
            try:
                folder = self._bundle(self._session.evidence / "failures", result, testbed)
            except Unavailable as error:  # a full disk costs the bundle, not the verdict
                report.sections.append(("no failure bundle", str(error)))
            else:
                result = replace(result, bundle=str(folder.relative_to(self._session.evidence)))
        return to_dict(result)

    def _bundle(self, parent: Path, result: Result, testbed: Testbed) -> Path:
        """Keep what is left of a failed test; the folder."""
        files = {
            "failure.txt": result.details,
            "pairs.txt": pairs_table(result.witnesses) + "\n",
            "timeline.txt": text(result.timeline) + "\n",
            "rerun.sh": result.rerun + "\n",
            "result.json": msgspec.json.format(msgspec.json.encode(result), indent=1),
            **remains(testbed, memory=self._full),
        }
        return write_bundle(parent, result.test, result.vmm, files, full=self._full)


def _witnesses(testbed: Testbed | None) -> tuple[tuple[PairRow, ...], bool]:
    """The table of pairs of all NICs, and whether any witness contradicts another."""
    rows: list[PairRow] = []
    disagreement = False
    for nic in testbed.nics if testbed else []:
        if nic.vm.exit_status() is None and nic.driver.running:
            with suppress(HarnessError, OSError):  # the VM may die while it is looked at
                seen, agree = nic.rows(), nic.witnesses().agree
                rows += seen
                disagreement |= not agree
    return tuple(rows), disagreement


def _show(report: pytest.TestReport, testbed: Testbed | None, rows: tuple[PairRow, ...], rerun: str) -> None:
    if rows:
        report.sections.append(("witnesses", pairs_table(rows)))
    if testbed is not None and testbed.journal.events:
        report.sections.append(("timeline", testbed.journal.text()))
    for vm in testbed.vms if testbed else []:
        status = vm.exit_status()
        life = f"ended: {status}" if status else "alive"
        log = vm.process.tail(LOG_LINES) or "(empty)"
        report.sections.append((f"log of {vm.vmm.name} ({life}), last {LOG_LINES} lines", log))
    report.sections.append(("run this again", rerun))
