"""From a phase of a test to its verdict and record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from harness.errors import BadInput, DeadlineExceeded, GuestError, Unavailable, VmmDied, VmmError
from harness.evidence.judge import Judge, reason_of, verdict_of
from harness.process.log_clock import LogClock
from harness.record.journal import Journal
from harness.record.results import PairRow
from harness.run.capability import Answer, Capabilities
from harness.run.session import Session
from harness.vmm.cloud_hypervisor import CloudHypervisor

Phase = Literal["setup", "call", "teardown"]
Outcome = Literal["passed", "failed", "skipped"]


def a_report(outcome: Outcome, when: Phase = "call", longrepr: Any = None, **more: Any) -> pytest.TestReport:
    return pytest.TestReport(
        "t.py::test_a[base-x]", ("t.py", 1, "test_a"), {}, outcome, longrepr, when, **more
    )


SKIPPED = ("t.py", 3, "Skipped: this host cannot run it")
WORDS = VmmDied("base died (killed by SIGSYS) while answering vm.info; its last words: oh", 159)


# Verdicts


@pytest.mark.parametrize(
    ("report", "error", "verdict"),
    [
        (a_report("passed", "setup"), None, None),
        (a_report("passed"), None, "pass"),
        (a_report("passed", "teardown"), None, None),
        (a_report("failed"), AssertionError(), "fail"),
        (a_report("failed"), TypeError(), "fail"),
        (a_report("failed"), WORDS, "fail"),
        (a_report("failed"), Unavailable("no permission"), "error"),
        (a_report("failed"), BadInput("wrong option"), "error"),
        (a_report("failed", "setup"), WORDS, "fail"),
        (a_report("failed", "setup"), VmmError("refused"), "fail"),
        (a_report("failed", "setup"), GuestError("faulted"), "fail"),
        (a_report("failed", "setup"), DeadlineExceeded("waited"), "fail"),
        (a_report("failed", "setup"), Unavailable("no permission"), "error"),
        (a_report("failed", "setup"), FileNotFoundError(), "error"),
        (a_report("failed", "teardown"), WORDS, "fail"),
        (a_report("failed", "teardown"), AssertionError(), "error"),
        (a_report("skipped", "setup", SKIPPED), None, "skip"),
        (a_report("skipped", "call", SKIPPED), None, "skip"),
        (a_report("skipped", wasxfail="reason: known"), AssertionError(), "xfail"),
        (a_report("passed", wasxfail="known"), None, "xpass"),
        (a_report("failed", longrepr="[XPASS(strict)] known"), None, "xpass"),
    ],
)
def test_verdict_of_a_phase(
    report: pytest.TestReport, error: BaseException | None, verdict: str | None
) -> None:
    assert verdict_of(report, error) == verdict


@pytest.mark.parametrize(
    ("report", "error", "reason"),
    [
        (a_report("passed"), None, ""),
        (a_report("failed"), AssertionError("assert 1 == 2\n +  where"), "assert 1 == 2"),
        (a_report("failed"), AssertionError(), "AssertionError"),
        (a_report("failed"), WORDS, str(WORDS)),
        (a_report("failed"), VmmError("x" * 999), "x" * 300),
        (a_report("skipped", "setup", SKIPPED), None, "this host cannot run it"),
        (a_report("skipped", wasxfail="reason: known"), AssertionError("new"), "known"),
        (a_report("failed", longrepr="[XPASS(strict)] known"), None, "[XPASS(strict)] known"),
    ],
)
def test_reason_is_one_line(report: pytest.TestReport, error: BaseException | None, reason: str) -> None:
    assert reason_of(report, error) == reason


# Records


@pytest.fixture
def judge() -> Judge:
    works = Answer(True, "0.1 s")
    vmm = CloudHypervisor("base", Path("/opt/a b/ch"), "v1")
    return Judge(Session((vmm,), {"base": Capabilities(works, works, works)}, 42))


def an_item(**params: str) -> Any:
    """A collected test, as far as the judge looks at it."""
    marks = {"requirement": [SimpleNamespace(args=("A-1", "B-2")), SimpleNamespace(args=("A-1",))]}
    return SimpleNamespace(
        nodeid="t.py::test_a[base-probe-3]",
        callspec=SimpleNamespace(params=params),
        iter_markers=lambda name="": marks.get(name, []),
    )


class Nic:
    """A NIC of which each witness says what the test lays down."""

    def __init__(self, agree: bool = True, error: Exception | None = None) -> None:
        self.vm = SimpleNamespace(exit_status=lambda: None)
        self.driver = SimpleNamespace(running=True)
        self.backend = None
        self._agree, self._error = agree, error

    def rows(self) -> list[PairRow]:
        if self._error is not None:
            raise self._error
        return [PairRow(0, True, self._agree, 64)]

    def witnesses(self) -> SimpleNamespace:
        return SimpleNamespace(agree=self._agree)


def a_testbed(*nics: Nic) -> Any:
    journal = Journal()
    journal.add("guest", "did something")
    clock = LogClock(Path("/dev/null"), 0.0)
    process = SimpleNamespace(tail=lambda _: "its log", supervisor=None, clock=clock)
    vm = SimpleNamespace(
        exit_status=lambda: None, timed_log=list, vmm=SimpleNamespace(name="base"), process=process
    )
    return SimpleNamespace(nics=list(nics), vms=[vm], journal=journal)


ITEM = an_item(vmm="base", driver="probe", backend="tap")


def test_record_of_a_pass_is_short(judge: Judge) -> None:
    record = judge.judge(ITEM, a_report("passed", duration=0.25), None, a_testbed(Nic()))
    assert record is not None
    known = {
        name: record[name] for name in ("test", "vmm", "version", "driver", "backend", "verdict", "reason")
    }
    assert list(known.values()) == ["t.py::test_a[probe-3]", "base", "v1", "probe", "tap", "pass", ""]
    assert list(record["requirements"]) == ["A-1", "B-2"]
    assert "timeline" not in record
    assert "rerun" not in record


def test_failure_is_shown_with_all_that_is_known(judge: Judge) -> None:
    report = a_report("failed", longrepr="many lines of traceback")
    record = judge.judge(ITEM, report, WORDS, a_testbed(Nic()))
    assert record is not None
    titles = [title for title, _ in report.sections]
    assert titles == ["witnesses", "timeline", "log of base (alive), last 20 lines", "run this again"]
    assert report.longrepr == str(WORDS) == record["details"]
    assert record["timeline"][0]["text"] == "did something"


def test_traceback_of_an_assertion_is_kept(judge: Judge) -> None:
    report = a_report("failed", longrepr="many lines of traceback")
    judge.judge(ITEM, report, AssertionError("assert 1 == 2"), None)
    assert report.longrepr == "many lines of traceback"


def test_rerun_line_is_fit_for_a_shell(judge: Judge) -> None:
    record = judge.judge(ITEM, a_report("failed"), AssertionError(), None)
    assert record is not None
    assert record["rerun"] == (
        "ci/conformance 't.py::test_a[base-probe-3]' --vmm 'base=/opt/a b/ch' --seed 42"
    )


def test_disagreement_is_noted_even_in_a_pass(judge: Judge) -> None:
    record = judge.judge(ITEM, a_report("passed"), None, a_testbed(Nic(), Nic(agree=False)))
    assert record is not None
    assert record["disagreement"]
    assert record["rerun"], "a disagreement has a section in reports, and a line that repeats it"
    assert record["timeline"]


@pytest.mark.parametrize("error", [WORDS, ProcessLookupError(), GuestError("gone")])
def test_vm_that_dies_while_it_is_looked_at_does_not_break_the_run(judge: Judge, error: Exception) -> None:
    record = judge.judge(ITEM, a_report("failed"), AssertionError("x"), a_testbed(Nic(error=error), Nic()))
    assert record is not None
    assert list(record["witnesses"]) == [{"pair": 0, "guest": True, "host": True, "frames": 64}]


def test_test_without_a_vmm_is_not_judged(judge: Judge) -> None:
    assert judge.judge(an_item(), a_report("passed"), None, None) is None


def test_full_disk_costs_the_bundle_and_not_the_verdict(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> Path:
        raise Unavailable("cannot write the failure bundle: No space left on device")

    monkeypatch.setattr("harness.evidence.judge.write_bundle", full)
    monkeypatch.setattr("harness.evidence.judge.remains", lambda *_, **__: {})
    kept = Judge(replace(judge._session, evidence=tmp_path))
    report = a_report("failed")
    record = kept.judge(ITEM, report, AssertionError("x"), a_testbed(Nic()))
    assert record is not None
    assert record["verdict"] == "fail"
    assert "bundle" not in record
    assert (
        "no failure bundle",
        "cannot write the failure bundle: No space left on device",
    ) in report.sections
