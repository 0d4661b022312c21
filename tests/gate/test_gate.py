from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.expected.baseline import load_baselines
from harness.gate import command as gate
from harness.record import ongoing
from harness.record.ongoing import Records
from harness.record.results import Run, dumps
from harness.record.selection import Selection
from harness.record.store import RunStore
from tests.synthetic_runs import not_run

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun

Out = pytest.CaptureFixture[str]


@pytest.fixture
def baselines(tmp_path: Path) -> Path:
    folder = tmp_path / "baselines"
    folder.mkdir()
    return folder


def _save(run: Run, folder: Path, name: str = "results.json") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(dumps(run))
    return str(folder / name)


@pytest.fixture
def known(baselines: Path) -> Path:
    """Of the synthetic build it is known that everything passes."""
    (baselines / "synthetic.toml").write_text('schema = 1\n[build]\nkind = "synthetic"\n')
    return baselines


def test_a_run_against_its_baselines(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path, known: Path, capsys: Out
) -> None:
    good = _save(make_run(make_result()), tmp_path, "good.json")
    bad = _save(make_run(make_result(verdict="fail", rerun="pytest X --seed 7")), tmp_path, "bad.json")
    part = _save(make_run(make_result(), complete=False), tmp_path, "part.json")
    options = ["--baselines", str(known)]
    assert gate.main([good, *options]) == 0
    assert "gate: as expected: alpha against" in capsys.readouterr().out
    assert gate.main([bad, *options]) == 1
    out = capsys.readouterr().out
    assert "NEW FAILURE alpha t.py::test_a: synthetic fail\n    pytest X --seed 7\n" in out
    assert "gate: REGRESSION" in out
    assert gate.main([part, *options]) == 2
    assert "gate: COULD NOT JUDGE" in capsys.readouterr().out


def test_two_builds_of_one_run_and_of_two(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path, capsys: Out
) -> None:
    both = make_run(make_result(vmm="old", verdict="fail"), make_result(vmm="new"))
    one = _save(both, tmp_path)
    assert gate.main([one, "--base", "old", "--head", "new"]) == 0
    assert "REPAIRED new t.py::test_a" in capsys.readouterr().out
    assert gate.main([one, "--base", "new", "--head", "old"]) == 1
    other = _save(make_run(make_result(vmm="later", verdict="fail")), tmp_path / "later")
    assert gate.main(["--base", f"new={one}", "--head", f"later={tmp_path / 'later'}"]) == 1
    assert Path(other).exists()


def test_variants_that_show_the_same_share_a_line(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path, known: Path, capsys: Out
) -> None:
    results = [make_result(f"t.py::test_a[{n}]", verdict="fail", reason=f"lost {n}") for n in range(9)]
    assert gate.main([_save(make_run(*results), tmp_path), "--baselines", str(known)]) == 1
    out = capsys.readouterr().out
    assert "NEW FAILURE alpha t.py::test_a (9): lost 0" in out
    assert out.count("NEW FAILURE") == 1
    assert "9 new failure" in out


def test_accepting_takes_a_reason(
    make_result: MakeResult,
    make_run: MakeRun,
    tmp_path: Path,
    baselines: Path,
    capsys: Out,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = _save(make_run(make_result(verdict="fail")), tmp_path)
    options = [file, "--baselines", str(baselines)]
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert gate.main([*options, "--accept"]) == 2
    assert "give --reason TEXT" in capsys.readouterr().err
    assert load_baselines(baselines) == {}
    assert gate.main([*options, "--accept", "--reason", "a known defect"]) == 0
    assert "gate: accepted" in capsys.readouterr().out
    assert gate.main(options) == 0
    assert gate.main([*options, "--accept"]) == 0
    assert "nothing to accept" in capsys.readouterr().out


def test_accepting_asks_at_a_terminal(
    make_result: MakeResult,
    make_run: MakeRun,
    tmp_path: Path,
    baselines: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = _save(make_run(make_result(verdict="fail")), tmp_path)
    options = [file, "--baselines", str(baselines), "--accept"]
    answers = iter(["  ", "because"])
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda _: True})())
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    assert gate.main(options) == 2
    assert load_baselines(baselines) == {}
    assert gate.main(options) == 0
    (baseline,) = load_baselines(baselines).values()
    assert baseline.expect[0].reason == "because"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.json"], "none.json cannot be read"),
        (["--base", "a=nowhere", "--head", "b=nowhere"], "there is no nowhere"),
        (["--base", "a", "--head", "b"], "name its results file"),
        (["--base", "a=.", "--head", "b"], "must both have a =PATH"),
        (["--base", "a=.", "--head", "b=/bin/true"], "two of a kind"),
        (["{results}", "--base", "alpha", "--head", "omega"], "no VMM called 'omega': it has alpha"),
        (["{results}", "--baselines", "nowhere"], "no folder nowhere"),
        (["{broken}"], "is not JSON"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_status_2(
    arguments: list[str],
    sentence: str,
    make_result: MakeResult,
    make_run: MakeRun,
    tmp_path: Path,
    capsys: Out,
) -> None:
    results = _save(make_run(make_result()), tmp_path)
    broken = tmp_path / "broken.json"
    broken.write_text('{"schema"')
    arguments = [text.format(results=results, broken=broken) for text in arguments]
    assert gate.main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.startswith("gate: cannot judge: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [[], ["--base", "a=x"], ["x", "--base", "a", "--head", "b", "--accept"]]
)
def test_options_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        gate.main(arguments)
    assert caught.value.code == 2


class _Suite:
    """Stands for pytest: leaves results, or none, and ends with an exit status."""

    def __init__(self, report: Path, run: Run | None, status: int) -> None:
        self.report, self.run, self.status = report, run, status
        self.command: list[str] = []

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.command = command
        if self.run:
            RunStore(self.report).save(self.run)
        return subprocess.CompletedProcess(command, self.status)


@pytest.fixture
def binaries(tmp_path: Path) -> list[str]:
    for name in ("old", "new"):
        (tmp_path / name).write_text("")
    report = str(tmp_path / "report")
    return ["--base", f"old={tmp_path / 'old'}", "--head", f"new={tmp_path / 'new'}", "--report", report]


def test_two_vmms_are_run_and_compared(
    make_result: MakeResult,
    make_run: MakeRun,
    tmp_path: Path,
    binaries: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run(make_result(vmm="old"), make_result(vmm="new", verdict="fail"))
    suite = _Suite(tmp_path / "report", run, 1)
    monkeypatch.setattr("harness.gate.suite.run_tethered", suite)
    assert gate.main(binaries) == 1
    assert suite.command[-4:] == ["--vmm", f"old={tmp_path / 'old'}", "--vmm", f"new={tmp_path / 'new'}"]
    assert "--brief" in suite.command
    assert not (tmp_path / "report/report.html").exists(), "the run itself writes it, once"


def test_run_made_here_has_the_suites_options_with_their_values(
    make_result: MakeResult,
    make_run: MakeRun,
    tmp_path: Path,
    binaries: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    suite = _Suite(tmp_path / "report", make_run(make_result(vmm="old"), make_result(vmm="new")), 0)
    monkeypatch.setattr("harness.gate.suite.run_tethered", suite)
    assert gate.main([*binaries, "--lab", "never", "-n", "2", "-k", "tap"]) == 0
    assert " --lab never -n 2 -k tap --vmm " in " ".join(suite.command)


@pytest.mark.parametrize(
    ("status", "leaves", "sentence"),
    [(2, True, "exit status 2"), (0, False, "no new results")],
)
def test_a_suite_that_came_to_no_end_is_no_verdict(
    status: int,
    leaves: bool,
    sentence: str,
    make_result: MakeResult,
    make_run: MakeRun,
    tmp_path: Path,
    binaries: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Out,
) -> None:
    run = make_run(make_result(vmm="old"), make_result(vmm="new"))
    _save(run, tmp_path / "report")
    suite = _Suite(tmp_path / "report", run if leaves else None, status)
    monkeypatch.setattr("harness.gate.suite.run_tethered", suite)
    assert gate.main(binaries) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verdict", "code", "words"), [("pass", 2, "COULD NOT JUDGE"), ("fail", 1, "REGRESSION")]
)
def test_newer_run_without_an_end_is_judged_as_far_as_it_came(
    make_result: MakeResult,
    make_run: MakeRun,
    tmp_path: Path,
    known: Path,
    capsys: Out,
    verdict: str,
    code: int,
    words: str,
) -> None:
    report = tmp_path / "report"
    RunStore(report).save(make_run(make_result()))
    night = RunStore(report)
    later = make_run(make_result(), started="2026-01-02T00:00:00+00:00", complete=False)
    os.close(ongoing.begin(night.folder, later))
    Records(night.folder, "gw0").append(make_result(verdict=verdict))
    Selection((not_run("t.py::test_a", "alpha"), not_run("t.py::test_b", "alpha"))).write(night.folder)
    assert gate.main([str(report), "--baselines", str(known)]) == code
    said = capsys.readouterr().out
    assert "the run was stopped before its end: 1 of 2 judged" in said
    assert f"gate: {words}: " in said
    gate.main([str(report / "results.json")])
    assert "before its end" not in capsys.readouterr().out, "the run before it, if one asks for it"
