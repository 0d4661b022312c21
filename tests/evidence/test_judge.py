"""From a phase of a test to its verdict and record."""

from __future__ import annotations

import errno
import socket
import sysconfig
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import msgspec
import pytest

from harness.checkout import ROOT
from harness.errors import (
    BadInput,
    DeadlineExceeded,
    GuestError,
    HarnessError,
    Owner,
    Unavailable,
    VmmDied,
    VmmError,
)
from harness.evidence import blame as blame_module
from harness.evidence.blame import blame, line_of
from harness.evidence.bundle import LIMIT
from harness.evidence.judge import Judge, _say_first, _show, _witnesses, issues_of, outcome_of
from harness.evidence.key import key_of
from harness.evidence.rerun import Rerun
from harness.evidence.threads import forget_threads, watch_threads
from harness.host.vhost_user.wire import HEADER
from harness.host.vhost_user_backend import VhostUser
from harness.process.exit_status import ExitStatus
from harness.process.log_clock import LogClock
from harness.record.journal import Journal
from harness.record.results import Case, PairRow, Result, Verdict, from_dict
from harness.record.table import pairs_table
from harness.vmm.cloud_hypervisor import CloudHypervisor

Phase = Literal["setup", "call", "teardown"]
Outcome = Literal["passed", "failed", "skipped"]
PHASES: tuple[Phase, ...] = ("setup", "call", "teardown")


def a_report(outcome: Outcome, when: Phase = "call", longrepr: Any = None, **more: Any) -> pytest.TestReport:
    return pytest.TestReport(
        "t.py::test_a[base-x]", ("t.py", 1, "test_a"), {}, outcome, longrepr, when, **more
    )


SKIPPED = ("t.py", 3, "Skipped: this host cannot run it")
WORDS = VmmDied("base died (killed by SIGSYS) while answering vm.info; its last words: oh", 159)


# Verdicts


def raised(error: BaseException, place: str = __file__, *, line: int = 1) -> BaseException:
    """The error as if code in that line of the file had raised it."""
    try:
        exec(compile("\n" * (line - 1) + "raise error", place, "exec"), {"error": error})
    except BaseException as met:
        return met
    raise AssertionError


LIFECYCLE, LIBRARY = str(ROOT / "harness/lifecycle/checks.py"), str(ROOT / "harness/host/tap.py")
THEIRS = sysconfig.get_path("purelib") + "/pyroute2/x.py"
OOM = VmmDied("base died (killed by SIGKILL) while pausing; no VMM does that to itself", 137)
FAILURES: list[tuple[BaseException, Phase, str]] = [
    (AssertionError(), "call", "fail"),
    (raised(AssertionError()), "call", "fail"),
    (raised(AssertionError(), LIFECYCLE), "call", "fail"),
    (raised(AssertionError(), LIBRARY), "call", "error"),
    (raised(AssertionError(), THEIRS), "call", "error"),
    (raised(pytest.fail.Exception("DID NOT RAISE")), "call", "fail"),
    (AssertionError(), "setup", "error"),
    (AssertionError(), "teardown", "error"),
    *(
        (error, when, "fail")
        for when in PHASES
        for error in (
            WORDS,
            VmmError("refused"),
            GuestError("faulted"),
            DeadlineExceeded("waited", Owner.VMM),
            DeadlineExceeded("waited", Owner.GUEST),
        )
    ),
    *(
        (error, when, "error")
        for when in PHASES
        for error in (
            OOM,
            DeadlineExceeded("waited", Owner.HOST),
            Unavailable("no permission"),
            BadInput("wrong option"),
            HarnessError("a back end ended"),
            KeyError("base"),
            ZeroDivisionError(),
            TypeError(),
            FileNotFoundError(),
            OSError(errno.EBADF, "Bad file descriptor"),
            OSError(errno.EMFILE, "Too many open files"),
            TimeoutError(),
        )
    ),
]


@pytest.mark.parametrize(("error", "when", "verdict"), FAILURES)
def test_verdict_of_a_failed_phase(error: BaseException, when: Phase, verdict: str) -> None:
    found = outcome_of(a_report("failed", when), error, None)
    assert found is not None
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("report", "error", "outcome"),
    [
        (a_report("passed", "setup"), None, None),
        (a_report("passed"), None, ("pass", "")),
        (a_report("passed", "teardown"), None, None),
        (a_report("skipped", "setup", SKIPPED), None, ("skip", "this host cannot run it")),
        (a_report("skipped", "call", SKIPPED), None, ("skip", "this host cannot run it")),
        (a_report("skipped", "call", list(SKIPPED)), None, ("skip", "this host cannot run it")),
        (a_report("skipped", wasxfail="reason: known"), AssertionError("new"), ("xfail", "known")),
        (a_report("skipped", wasxfail="reason: known"), Unavailable("no room"), ("error", "no room")),
        (a_report("passed", wasxfail="known"), None, ("xpass", "known")),
        (a_report("failed", longrepr="[XPASS(strict)] known"), None, ("xpass", "[XPASS(strict)] known")),
    ],
)
def test_outcome_of_a_phase_that_did_not_fail(
    report: pytest.TestReport, error: BaseException | None, outcome: tuple[str, str] | None
) -> None:
    assert outcome_of(report, error, None) == outcome


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = 1\nassert x == 2", "owed: x == 2; found: 1 == 2"),
        ("x = 1\nassert (\n    x\n    == 2)", "owed: x == 2; found: 1 == 2"),
        ("x = 1\nassert x == 2, 'it should be 2'", "it should be 2"),
    ],
)
def test_assertion_without_words_says_what_was_owed_and_what_was_found(
    tmp_path: Path, source: str, reason: str
) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(source)
    said = "it should be 2" if ", '" in source else "assert 1 == 2"
    error = raised(AssertionError(said), str(file), line=2)
    assert line_of(error) == reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AssertionError("assert 1 == 2\n +  where"), "assert 1 == 2"),
        (AssertionError(), "AssertionError"),
        (raised(AssertionError()), '"""From a phase of a test'),  # the line that raised it
        (WORDS, str(WORDS)),
        (VmmError("x" * 999), "x" * 500),
        (KeyError("base"), "KeyError: 'base'"),
        (raised(KeyError(6), LIBRARY), "KeyError: 6 (<module>, harness/host/tap.py:1)"),
        (OSError(errno.EMFILE, "Too many open files"), "no more files may be opened (ulimit -n is "),
        (OSError(errno.ENOSPC, "No space left"), "there is no space left on the disk: make room"),
    ],
)
def test_reason_is_one_line(error: BaseException, reason: str) -> None:
    found = outcome_of(a_report("failed"), error, None)
    assert found is not None
    assert found.reason.startswith(reason)
    assert "\n" not in found.reason


# A VMM that is dead, and what of the suite's own has failed, stand first


class Process:
    """A VMM's process that ended so, or lives."""

    watcher = None
    end_is_known = False
    clock = LogClock(Path("/dev/null"), 0.0)

    def __init__(self, code: int | None = None, said: str = "") -> None:
        self.code, self.said = code, said

    def tail(self, _: int) -> str:
        return "its log"

    def ended_unasked(self) -> ExitStatus | None:
        return None if self.code is None else ExitStatus(self.code)

    def died(self, name: str, status: ExitStatus, doing: str) -> VmmDied:
        return VmmDied(f"{name} died ({status}) {doing}; it said: {self.said}", status.code, self.said)


FAILED_BACK_END = "the vhost-user back end failed: ZeroDivisionError"


@pytest.mark.parametrize("error", [AssertionError("assert False"), ConnectionResetError(), KeyError(3)])
@pytest.mark.parametrize(
    ("process", "back_end", "verdict", "reason"),
    [
        (
            Process(134, "panicked"),
            "",
            "fail",
            "base died (exit status 134) amid the test; it said: panicked",
        ),
        (Process(0), "", "fail", "base died (exit status 0) amid the test; "),
        (Process(137), "", "error", "base died (exit status 137) amid the test; "),
        (Process(), FAILED_BACK_END, "error", FAILED_BACK_END),
        (Process(134), FAILED_BACK_END, "error", FAILED_BACK_END),
    ],
)
def test_what_explains_the_rest_stands_first(
    error: BaseException, process: Process, back_end: str, verdict: str, reason: str
) -> None:
    found = outcome_of(a_report("failed"), error, a_testbed(Nic(failure=back_end), process=process))
    assert found is not None
    assert found.verdict == verdict
    assert found.reason.startswith(reason)


def test_unanswered_message_stands_first_where_the_vmm_is_accused(tmp_path: Path) -> None:
    backend = VhostUser(tmp_path, 1)
    bed = a_testbed(Nic())
    bed.backends.append(backend)
    error = DeadlineExceeded("waited 5.0 s for a vhost-user connection", Owner.VMM)
    assert blame(error, "call", bed).reason == str(error)
    with socket.socket(socket.AF_UNIX) as vmm:
        vmm.connect(str(backend.attachment.path))
        vmm.sendall(HEADER.pack(99, 1, 0))
        backend.end.wait("the message", lambda end: end.unanswered, within=2)
    cause = "the VMM sent a message of the unknown kind 99, and got no answer from the back end"
    assert blame(error, "call", bed) == ("fail", f"{cause} (met as: {error})")
    assert blame(TypeError("own"), "call", bed).verdict == "error"
    assert "unknown kind 99" not in blame(BadInput("own"), "call", bed).reason
    backend.end.take_findings()
    backend.close()


def test_host_in_trouble_is_told_with_what_was_met(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def trouble(words: str, error: BaseException | None, folder: Path) -> str | None:
        seen.append((words, folder))
        return "the host is tired" if "tired" in words else None

    monkeypatch.setattr(blame_module, "trouble", trouble)
    died = a_testbed(Nic(), process=Process(1, "tired"))
    met = "base died (exit status 1) amid the test; it said: tired"
    assert blame(AssertionError("x"), "call", died) == ("error", f"the host is tired (met as: {met})")
    refused = VmmError("base refused vm.pause: tired")
    assert blame(refused, "call", None) == ("error", f"the host is tired (met as: {refused})")
    assert blame(AssertionError("tired"), "call", a_testbed(Nic())) == ("fail", "tired")
    assert seen == [("tired", Path("/")), (str(refused), Path.cwd()), ("", Path("/"))]


def test_supervisor_that_failed_stands_first(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = SimpleNamespace(error=None)
    monkeypatch.setattr(blame_module, "supervisor_of", lambda process: broken)
    bed = a_testbed(Nic(), process=Process(134))
    assert blame(AssertionError("x"), "call", bed).verdict == "fail"
    broken.error = ZeroDivisionError("in a policy")
    reason = "the supervisor of system calls failed: ZeroDivisionError: in a policy"
    assert blame(AssertionError("x"), "call", bed) == ("error", reason)


def test_place_of_an_error_is_where_it_was_raised() -> None:
    def innermost() -> None:
        raise KeyError(6)

    with pytest.raises(KeyError) as met:
        innermost()
    file, line = Path(__file__).relative_to(ROOT), met.tb.tb_next.tb_lineno if met.tb.tb_next else 0
    assert line_of(met.value) == f"KeyError: 6 (innermost, {file}:{line})"


@pytest.mark.parametrize(
    ("outcome", "error", "reason", "shown"),
    [
        ("passed", None, "it died", "it died"),
        ("failed", VmmError("refused: x"), "refused: x", "refused: x"),
        ("failed", VmmError("refused: x"), "the disk is full", "the disk is full\nrefused: x"),
        ("failed", AssertionError("x"), "x", "a traceback"),
        ("failed", AssertionError("x"), "it died", "it died\n\na traceback"),
        ("failed", KeyError("x"), "KeyError: 'x'", "KeyError: 'x'\n\na traceback"),
    ],
)
def test_pytests_own_output_begins_with_the_reason(
    outcome: Outcome, error: BaseException | None, reason: str, shown: str
) -> None:
    report = a_report(outcome, longrepr="a traceback", wasxfail="known")
    _say_first(report, error, reason)
    assert (report.outcome, report.longreprtext) == ("failed", shown)
    assert hasattr(report, "wasxfail") == (outcome == "failed")


def test_every_nic_is_asked_and_one_that_disagrees_is_enough() -> None:
    dead, idle, lonely = (Nic(agree=False) for _ in range(3))
    dead.vm = SimpleNamespace(exit_status=lambda: ExitStatus(1))
    idle.driver = SimpleNamespace(running=False)
    lonely.backend.away = True
    rows, disagree = _witnesses(a_testbed(Nic(), dead, idle, lonely, Nic()))
    assert (len(rows), disagree) == (2 * len(Nic().rows()), False)
    assert _witnesses(a_testbed(Nic(agree=False), Nic()))[1]
    assert _witnesses(None) == ((), False)


def test_issues_are_told_by_their_marks() -> None:
    names = ["issue_8307", "slow", "issue_8306", "issue_8307"]
    item: Any = SimpleNamespace(iter_markers=lambda: [SimpleNamespace(name=name) for name in names])
    assert issues_of(item) == ("8306", "8307")


def test_pass_whose_vmm_died_unnoticed_is_none() -> None:
    bed = a_testbed(Nic(), process=Process(139, "SIGSEGV"))
    assert outcome_of(a_report("passed"), None, bed) == (
        "fail",
        "base died (exit status 139) amid the test; it said: SIGSEGV",
    )


def test_pass_that_knows_how_its_vmm_died_stays_one() -> None:
    process = Process(1)
    process.end_is_known = True
    assert outcome_of(a_report("passed"), None, a_testbed(Nic(), process=process)) == ("pass", "")


def test_thread_that_failed_stands_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # pytest's own, which would fail this test
    watch_threads()
    thread = threading.Thread(target=lambda: 1 // 0, name="own")
    thread.start()
    thread.join()
    found = outcome_of(a_report("failed"), AssertionError("assert False"), a_testbed(Nic()))
    assert found is not None
    assert found.verdict == "error"
    assert found.reason.startswith("the suite's own thread own failed: ZeroDivisionError: ")
    forget_threads()
    assert outcome_of(a_report("failed"), AssertionError("x"), a_testbed(Nic())) == ("fail", "x")


# Records


@pytest.fixture
def judge() -> Judge:
    vmm = CloudHypervisor("base", Path("/opt/a b/ch"), "v1")
    return Judge(Rerun({"base": vmm}.__getitem__, 42))


def an_item() -> Any:
    """A collected test, as far as the judge looks at it."""
    marks = {
        "": [SimpleNamespace(name="issue_8306")],
        "requirement": [SimpleNamespace(args=("A-1", "B-2")), SimpleNamespace(args=("A-1",))],
    }
    return SimpleNamespace(
        nodeid="t.py::test_a[base-probe-3]",
        iter_markers=lambda name="": marks.get(name, []),
    )


class Nic:
    """A NIC of which each witness says what the test lays down."""

    def __init__(self, agree: bool = True, error: Exception | None = None, failure: str = "") -> None:
        self.vm = SimpleNamespace(exit_status=lambda: None)
        self.driver = SimpleNamespace(running=True)
        self.backend = SimpleNamespace(failure=lambda: failure, away=False)
        self._agree, self._error = agree, error

    def rows(self) -> list[PairRow]:
        if self._error is not None:
            raise self._error
        return [PairRow(0, True, self._agree, 64)]

    def witnesses(self) -> SimpleNamespace:
        return SimpleNamespace(agree=self._agree)


def a_testbed(*nics: Nic, process: Process | None = None) -> Any:
    journal = Journal()
    journal.add("guest", "did something")
    vm = SimpleNamespace(
        exit_status=lambda: None,
        timed_log=list,
        vmm=SimpleNamespace(name="base"),
        process=process or Process(),
    )
    return SimpleNamespace(nics=list(nics), vms=[vm], backends=[], journal=journal, folder=Path("/"))


ITEM = an_item()
CASE = Case(
    test="t.py::test_a[probe-3]",
    file="t.py",
    function="test_a",
    parameters={"driver": "probe", "pairs": "3"},
    vmm="base",
)


def test_record_of_a_pass_is_short(judge: Judge) -> None:
    record = judge.judge(ITEM, CASE, a_report("passed", duration=0.25), None, a_testbed(Nic()))
    assert record is not None
    known = [record[name] for name in ("test", "file", "function", "vmm", "version", "verdict", "reason")]
    assert known == ["t.py::test_a[probe-3]", "t.py", "test_a", "base", "v1", "pass", ""]
    assert record["parameters"] == {"driver": "probe", "pairs": "3"}
    assert list(record["requirements"]) == ["A-1", "B-2"]
    assert list(record["issues"]) == ["8306"]
    assert (record["seconds"], record["seed"]) == (0.25, 42)
    assert not {"timeline", "rerun", "details", "key", "disagreement"} & record.keys()


def test_failure_is_shown_with_all_that_is_known(judge: Judge) -> None:
    report = a_report("failed", longrepr="many lines of traceback")
    record = judge.judge(ITEM, CASE, report, WORDS, a_testbed(Nic()))
    assert record is not None
    titles = [title for title, _ in report.sections]
    assert titles == ["witnesses", "timeline", "log of base (alive), last 20 lines", "run this again"]
    assert report.longrepr == str(WORDS) == record["details"]
    assert record["timeline"][0]["text"] == "did something"


def test_traceback_of_an_assertion_is_kept(judge: Judge) -> None:
    report = a_report("failed", longrepr="many lines of traceback")
    judge.judge(ITEM, CASE, report, AssertionError("assert 1 == 2"), None)
    assert report.longrepr == "many lines of traceback"


def test_rerun_line_is_fit_for_a_shell(judge: Judge) -> None:
    record = judge.judge(ITEM, CASE, a_report("failed"), AssertionError(), None)
    assert record is not None
    assert record["rerun"] == (
        "ci/conformance 't.py::test_a[base-probe-3]' --vmm 'base=/opt/a b/ch' --seed 42"
    )


def test_disagreement_is_noted_even_in_a_pass(judge: Judge) -> None:
    record = judge.judge(ITEM, CASE, a_report("passed"), None, a_testbed(Nic(), Nic(agree=False)))
    assert record is not None
    assert record["disagreement"]
    assert record["rerun"], "a disagreement has a section in reports, and a line that repeats it"
    assert record["timeline"]


@pytest.mark.parametrize("error", [WORDS, ProcessLookupError(), GuestError("gone")])
def test_vm_that_dies_while_it_is_looked_at_does_not_break_the_run(judge: Judge, error: Exception) -> None:
    record = judge.judge(
        ITEM, CASE, a_report("failed"), AssertionError("x"), a_testbed(Nic(error=error), Nic())
    )
    assert record is not None
    assert list(record["witnesses"]) == [{"pair": 0, "guest": True, "host": True, "frames": 64}]


def test_test_without_a_vmm_is_not_judged(judge: Judge) -> None:
    assert judge.judge(ITEM, None, a_report("passed"), None, None) is None


def test_full_disk_costs_the_bundle_and_not_the_verdict(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> Path:
        raise Unavailable("cannot write the failure bundle: No space left on device")

    monkeypatch.setattr("harness.evidence.judge.write_bundle", full)
    monkeypatch.setattr("harness.evidence.judge.remains", lambda *_, **__: {})
    kept = Judge(judge._rerun, tmp_path)
    report = a_report("failed")
    record = kept.judge(ITEM, CASE, report, AssertionError("x"), a_testbed(Nic()))
    assert record is not None
    assert record["verdict"] == "fail"
    assert "bundle" not in record
    assert (
        "no failure bundle",
        "cannot write the failure bundle: No space left on device",
    ) in report.sections


@pytest.mark.parametrize("full", [False, True])
def test_bundle_says_what_the_record_says(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    def left(bed: Any, *, memory: bool) -> dict[str, str | bytes]:
        assert bed.vms
        return {"host.json": "{}", "memory.bin": bytes(LIMIT + 1 if memory else 0)}

    monkeypatch.setattr("harness.evidence.judge.remains", left)
    kept = Judge(judge._rerun, tmp_path, full=full)
    report = a_report("failed", longrepr="many lines of traceback")
    record = kept.judge(ITEM, CASE, report, AssertionError("x"), a_testbed(Nic()))
    assert record is not None
    folder = tmp_path / record["bundle"]
    assert folder.parent == tmp_path / "failures"
    texts = {path.name: path.read_text() for path in folder.iterdir() if path.suffix in (".txt", ".sh")}
    timeline = texts.pop("timeline.txt")
    assert timeline.endswith("  guest       did something\n")
    assert texts == {
        "failure.txt": "many lines of traceback",
        "pairs.txt": pairs_table([PairRow(0, True, True, 64)]) + "\n",
        "rerun.sh": record["rerun"] + "\n",
    }
    said = (folder / "result.json").read_bytes()
    assert from_dict({**msgspec.json.decode(said), "bundle": record["bundle"]}) == from_dict(record)
    assert (folder / "host.json").read_text() == "{}"
    assert (folder / "memory.bin").stat().st_size == (LIMIT + 1 if full else 0)


def test_record_of_a_test_without_an_end_says_which_and_how_to_repeat_it(judge: Judge) -> None:
    assert judge.unfinished(ITEM, CASE) == Result(
        **msgspec.structs.asdict(CASE),
        version="v1",
        requirements=("A-1", "B-2"),
        issues=("8306",),
        verdict=Verdict.ERROR,
        seconds=0.0,
        reason="",
        rerun="ci/conformance 't.py::test_a[base-probe-3]' --vmm 'base=/opt/a b/ch' --seed 42",
        seed=42,
    )


def test_verdict_that_cannot_be_made_is_an_error(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("in a judge")

    monkeypatch.setattr("harness.evidence.judge.outcome_of", broken)
    record = judge.judge(ITEM, CASE, a_report("failed"), AssertionError("x"), None)
    assert record is not None
    assert (record["verdict"], record["reason"]) == (
        "error",
        "no verdict could be made (ZeroDivisionError: in a judge): this is a fault of the suite, please report it",
    )


@pytest.mark.parametrize(("code", "verdict"), [(134, "fail"), (137, "error")])
def test_record_knows_of_a_vmm_that_died(judge: Judge, code: int, verdict: str) -> None:
    report = a_report("failed", duration=0.123456)
    bed = a_testbed(Nic(), process=Process(code, "panicked"))
    record = judge.judge(ITEM, CASE, report, AssertionError("x"), bed)
    assert record is not None
    assert (record["verdict"], record["seconds"], record["seed"]) == (verdict, 0.1235, 42)
    assert record["reason"] == f"base died (exit status {code}) amid the test; it said: panicked"
    assert record.get("key") == (f"died: exit status {code}" if verdict == "fail" else None)


def test_key_is_made_of_what_was_met(judge: Judge) -> None:
    record = judge.judge(ITEM, CASE, a_report("failed"), VmmError("it said no"), None)
    assert record is not None
    assert record["key"] == key_of(VmmError("it said no"), "it said no") != key_of(None, "it said no")


def test_evidence_that_cannot_be_had_is_named_and_costs_nothing_else(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    for name in ("_witnesses", "merged", "_show"):
        monkeypatch.setattr(f"harness.evidence.judge.{name}", broken)
    report = a_report("failed", longrepr="many lines of traceback")
    record = judge.judge(ITEM, CASE, report, AssertionError("x"), a_testbed(Nic()))
    assert record is not None
    titles = [title for title, _ in report.sections]
    assert titles == ["no witnesses", "no timeline", "no sections", "run this again"]
    assert (record["verdict"], record["details"]) == ("fail", "many lines of traceback")
    assert not {"witnesses", "timeline", "disagreement"} & record.keys()


def test_log_of_each_vmm_is_shown_with_how_it_ended() -> None:
    report, bed = a_report("failed"), a_testbed()
    dead = SimpleNamespace(
        exit_status=lambda: ExitStatus(1),
        vmm=SimpleNamespace(name="old"),
        process=SimpleNamespace(tail=lambda lines: "" if lines == 20 else "more"),
    )
    bed.vms.append(dead)
    _show(report, bed, ())
    assert report.sections[1:] == [
        ("log of base (alive), last 20 lines", "its log"),
        ("log of old (ended: exit status 1), last 20 lines", "(empty)"),
    ]
    _show(report, None, ())
    assert len(report.sections) == 3
