"""ci/history: what it makes of runs before and after a fix, its table, and where it gets builds from. No VMM runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.checkout import ROOT
from harness.errors import BadInput
from harness.history import command
from harness.history.bugs import Bug, chosen, load_bugs
from harness.history.builds import from_folder
from harness.history.judge import AFTER, BEFORE, Outcome, measure
from harness.record.results import Run
from tests.synthetic_runs import MakeResult, MakeRun

NAMED, OTHER = "conformance/mq/test_a.py::test_named[probe-tap-1]", "conformance/mq/test_a.py::test_other"
BUG = Bug(report="1", fix="abcdef1", kind="k", fault="it breaks", tests=(NAMED.partition("[")[0],))


@pytest.fixture
def ran(make_run: MakeRun, make_result: MakeResult) -> object:
    def run(**verdicts: tuple[str, str]) -> Run:
        tests = {"named": NAMED, "other": OTHER}
        return make_run(
            *(
                make_result(tests[name], vmm=side, verdict=verdict, reason=f"{name} is {verdict}\nand more")
                for name, sides in verdicts.items()
                for side, verdict in zip((BEFORE, AFTER), sides, strict=True)
            )
        )

    return run


@pytest.mark.parametrize(
    ("named", "outcome"),
    [
        (("fail", "pass"), Outcome.CAUGHT),
        (("pass", "pass"), Outcome.MISSED),
        (("fail", "fail"), Outcome.MISSED),
        (("pass", "fail"), Outcome.MISSED),
        (("skip", "pass"), Outcome.UNKNOWN),
        (("error", "pass"), Outcome.UNKNOWN),
    ],
)
def test_caught_is_red_before_and_green_after(ran: object, named: tuple[str, str], outcome: Outcome) -> None:
    assert callable(ran)
    found = measure(BUG, ran(named=named, other=("pass", "pass")))
    assert found.outcome is outcome
    assert found.caught_by == ({NAMED: "named is fail"} if outcome is Outcome.CAUGHT else {})
    assert bool(found.why) is (outcome is not Outcome.CAUGHT)


def test_what_else_changed_is_told(ran: object) -> None:
    assert callable(ran)
    assert measure(BUG, ran(named=("pass", "pass"), other=("fail", "pass"))).also_mended == (OTHER,)
    assert measure(BUG, ran(named=("fail", "pass"), other=("pass", "fail"))).broken == (OTHER,)


def test_table_names_tests_that_there_are() -> None:
    bugs = load_bugs()
    assert len(bugs) >= 20
    for bug in bugs:
        for test in bug.tests:
            file, _, name = test.partition("[")[0].partition("::")
            assert f"def {name.rpartition('::')[2]}(" in (ROOT / file).read_text(), (bug.report, test)


def test_table_that_contradicts_itself_is_said(tmp_path: Path) -> None:
    table = tmp_path / "history.toml"
    row = '[[bug]]\nreport = "1"\nfix = "a"\nkind = "other"\nfault = "f"\ntests = ["t"]\n'
    table.write_text(f'schema = 1\n[kinds]\nk = "a kind"\n{row}')
    with pytest.raises(BadInput, match="of the kind 'other'; there are k"):
        load_bugs(table)
    with pytest.raises(BadInput, match="no bug"):
        chosen((BUG,), ["2"])


def test_builds_lie_in_files_or_folders_by_commit(tmp_path: Path) -> None:
    (tmp_path / "abcdef123").mkdir()
    (tmp_path / "abcdef123" / "cloud-hypervisor").touch(0o755)
    (tmp_path / "1234567").touch(0o755)
    find = from_folder(tmp_path, None)
    assert find("abcdef1") == tmp_path / "abcdef123" / "cloud-hypervisor"
    assert find("1234567890") == tmp_path / "1234567"
    with pytest.raises(BadInput, match="no build of 7654321"):
        find("7654321")


@pytest.mark.parametrize(
    ("sides", "code"), [(("fail", "pass"), 0), (("pass", "pass"), 1), (("skip", "skip"), 2)]
)
def test_exit_status(
    ran: object,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    sides: tuple[str, str],
    code: int,
) -> None:
    assert callable(ran)
    (tmp_path / "abcdef1").touch(0o755)
    (tmp_path / "1234567").touch(0o755)
    bug = Bug(report="1", fix="abcdef1", before="1234567", kind="k", fault="it breaks", tests=BUG.tests)
    monkeypatch.setattr(command, "load_bugs", lambda: (bug,))
    monkeypatch.setattr(command, "run_suite", lambda *_, **__: ran(named=sides))
    assert command.main(["--builds", str(tmp_path), "--report", str(tmp_path / "report")]) == code
    assert "1 (abcdef1): it breaks" in capsys.readouterr().out


def test_nothing_to_build_with_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 2
    assert "give --repo, --build and --binary, or --builds" in capsys.readouterr().err
