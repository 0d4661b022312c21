"""From one phase of a test to its verdict, with what a reader needs to understand and to repeat it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from harness.errors import HarnessError, unforeseen
from harness.evidence.blame import Blame, blame, line_of, unnoticed_death
from harness.evidence.bundle import write_bundle
from harness.evidence.key import key_of
from harness.evidence.remains import remains
from harness.evidence.rerun import Rerun
from harness.evidence.shown import make_printable
from harness.evidence.timeline import merged, text
from harness.printable import printable
from harness.record.results import Case, Event, PairRow, Result, Verdict, to_dict
from harness.record.table import pairs_table
from harness.testbed.testbed import Testbed

LOG_LINES = 20


def outcome_of(
    report: pytest.TestReport, error: BaseException | None, testbed: Testbed | None
) -> Blame | None:
    """Verdict and reason of one phase, the reason empty for a plain pass; None where the phase says nothing."""
    expected = hasattr(report, "wasxfail")
    if report.failed and error is not None:
        return blame(error, report.when, testbed)
    if report.failed:  # nothing went wrong, which pytest counts as failed under xfail(strict=True)
        return Blame(Verdict.XPASS, report.longreprtext)
    if report.skipped and expected:
        if error is not None and (found := blame(error, report.when, testbed)).verdict is Verdict.ERROR:
            return found  # what was expected is a fault of the VMM's
        return Blame(Verdict.XFAIL, _expected_for(report))
    if report.skipped:
        return Blame(Verdict.SKIP, _skipped_for(report))
    if report.when != "call":
        return None
    if (found_dead := unnoticed_death(testbed)) is not None:
        return found_dead
    return Blame(Verdict.XPASS, _expected_for(report)) if expected else Blame(Verdict.PASS, "")


def _expected_for(report: pytest.TestReport) -> str:
    return str(report.wasxfail).removeprefix("reason: ")


def _skipped_for(report: pytest.TestReport) -> str:
    """pytest gives place and reason as a tuple, which is a list once it has been sent by JSON."""
    if isinstance(report.longrepr, tuple | list):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return ""


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

    `evidence` is the run's folder, None if nothing is to be kept; `full` keeps guest memory in bundles.
    """

    def __init__(self, rerun: Rerun, evidence: Path | None = None, *, full: bool = False) -> None:
        self._rerun = rerun
        self._evidence = evidence
        self._full = full

    def unfinished(self, item: pytest.Item, case: Case) -> Result:
        """The record of a test that came to no end: an error, its reason to be filled in."""
        return Result(
            **msgspec.structs.asdict(case),
            version=self._rerun.build(case.vmm).version,
            requirements=requirements_of(item),
            issues=issues_of(item),
            verdict=Verdict.ERROR,
            seconds=0.0,
            reason="",
            rerun=self._rerun.line(item.nodeid, case),
            seed=self._rerun.seed,
        )

    def judge(
        self,
        item: pytest.Item,
        case: Case | None,
        report: pytest.TestReport,
        error: BaseException | None,
        testbed: Testbed | None,
    ) -> dict[str, Any] | None:
        """The record of this phase as plain data, or None if it has nothing to say. `case` is which test it is.

        A failed phase is also given sections in pytest's own output: table of pairs, timeline, log, rerun line.
        """
        if case is None or (outcome := _outcome(report, error, testbed)) is None:
            return None
        verdict, reason = outcome
        vmm = self._rerun.build(case.vmm)
        rows: tuple[PairRow, ...] = ()
        timeline: tuple[Event, ...] = ()
        disagreement = False
        with _evidence(report, "witnesses"):
            rows, disagreement = _witnesses(testbed)
        shown = verdict.is_bad or disagreement
        if testbed is not None and shown:
            with _evidence(report, "timeline"):
                timeline = merged(testbed.journal, testbed.vms, testbed.nics)
        rerun = self._rerun.line(item.nodeid, case)
        if verdict in (Verdict.FAIL, Verdict.ERROR):
            _say_first(report, error, reason)
        if verdict.is_bad:
            with _evidence(report, "sections"):
                _show(report, testbed, rows)
            report.sections.append(("run this again", rerun))
        make_printable(report)
        result = Result(
            **msgspec.structs.asdict(case),
            version=vmm.version,
            requirements=requirements_of(item),
            issues=issues_of(item),
            verdict=verdict,
            seconds=round(report.duration, 4),
            reason=reason,
            key=key_of(error, reason) if verdict is Verdict.FAIL else "",
            disagreement=disagreement,
            details=report.longreprtext if verdict.is_bad else "",
            witnesses=rows,
            timeline=timeline,
            rerun=rerun if shown else "",
            seed=self._rerun.seed,
        )
        if shown and testbed is not None and self._evidence is not None:
            with _evidence(report, "failure bundle"):
                folder = self._bundle(self._evidence / "failures", result, testbed)
                result = replace(result, bundle=str(folder.relative_to(self._evidence)))
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
        return write_bundle(parent, result, files, full=self._full)


def _outcome(report: pytest.TestReport, error: BaseException | None, testbed: Testbed | None) -> Blame | None:
    """Verdict and reason of one phase, or ERROR where making them failed: one verdict is not worth a run."""
    try:
        return outcome_of(report, error, testbed)
    except Exception as own:
        return Blame(Verdict.ERROR, unforeseen("no verdict could be made", own))


@contextmanager
def _evidence(report: pytest.TestReport, what: str) -> Iterator[None]:
    """A full disk, or a VMM that answers what nobody thought of, costs a piece of evidence, not the verdict."""
    try:
        yield
    except Exception as error:
        text = str(error) if isinstance(error, HarnessError) else unforeseen(f"there is no {what}", error)
        report.sections.append((f"no {what}", printable(text)))


def _witnesses(testbed: Testbed | None) -> tuple[tuple[PairRow, ...], bool]:
    """The table of pairs of all NICs, and whether any witness contradicts another."""
    rows: list[PairRow] = []
    disagreement = False
    for nic in testbed.nics if testbed else []:
        if nic.vm.exit_status() is None and nic.driver.running and not nic.backend.away:
            with suppress(HarnessError, OSError):  # the VM may die while it is looked at
                seen, agree = nic.rows(), nic.witnesses().agree
                rows += seen
                disagreement |= not agree
    return tuple(rows), disagreement


def _say_first(report: pytest.TestReport, error: BaseException | None, reason: str) -> None:
    """Let pytest's own output begin with the reason, whatever the test met, and count the phase as failed."""
    if not report.failed:
        report.outcome = "failed"
        vars(report).pop("wasxfail", None)
    if error is None:
        report.longrepr = reason
    elif isinstance(error, HarnessError):
        said = str(error)  # it is one sentence already; a traceback would bury it
        report.longrepr = said if said.startswith(reason) else f"{reason}\n{said}"
    elif reason != line_of(error) or not isinstance(error, AssertionError):
        report.longrepr = f"{reason}\n\n{report.longreprtext}"


def _show(report: pytest.TestReport, testbed: Testbed | None, rows: tuple[PairRow, ...]) -> None:
    if rows:
        report.sections.append(("witnesses", pairs_table(rows)))
    if testbed is not None and testbed.journal.events:
        report.sections.append(("timeline", testbed.journal.text()))
    for vm in testbed.vms if testbed else []:
        status = vm.exit_status()
        life = f"ended: {status}" if status else "alive"
        log = vm.process.tail(LOG_LINES) or "(empty)"
        report.sections.append((f"log of {vm.vmm.name} ({life}), last {LOG_LINES} lines", log))
