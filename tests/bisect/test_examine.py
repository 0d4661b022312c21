from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.bisect import examine, shell
from harness.bisect.examine import test_id as id_on_build
from harness.bisect.examine import verdict
from harness.bisect.plan import Finding, Outcome, Plan
from harness.bisect.shell import last_line, run_command
from harness.bisect.step import NEW, OLD, SKIP, STOP, answer, main
from harness.errors import DeadlineExceeded

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun


@pytest.mark.parametrize(
    ("test", "wanted"),
    [
        ("t.py::test_a[probe-tap-2]", "t.py::test_a[abc-probe-tap-2]"),
        ("t.py::test_a", "t.py::test_a"),
        ("t.py::T::test_a[x[1]]", "t.py::T::test_a[abc-x[1]]"),
    ],
)
def test_a_test_is_named_with_its_build(test: str, wanted: str) -> None:
    assert id_on_build(test, "abc") == wanted


@pytest.mark.parametrize(
    ("verdicts", "wanted"),
    [
        (["pass", "pass"], "good"),
        (["pass", "fail"], "bad"),
        (["error", "fail"], "bad"),
        (["pass", "skip"], "unknown"),
        (["pass", "error"], "unknown"),
        ([], "unknown"),
    ],
)
def test_what_results_say_of_a_build(
    make_result: MakeResult, make_run: MakeRun, verdicts: list[str], wanted: Outcome
) -> None:
    results = [make_result(f"t.py::test_{n}", verdict=verdict) for n, verdict in enumerate(verdicts)]
    assert verdict(make_run(*results), "alpha")[0] == wanted


def test_witnesses_that_disagree_are_as_red_as_for_the_gate(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    assert verdict(make_run(make_result(disagreement=True)), "alpha") == ("bad", "witnesses disagree")


def test_a_run_that_was_cut_short_says_nothing(make_result: MakeResult, make_run: MakeRun) -> None:
    assert verdict(make_run(make_result(), complete=False), "alpha")[0] == "unknown"


def plan(folder: Path, **more: str) -> Plan:
    known = {"build": "true", "binary": "vmm", "find": "broken", "issue": "8306", "worktree": str(folder)}
    return Plan(**{**known, **more}, folder=str(folder), build_minutes=1, seed=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(("status", "wanted"), [(0, "good"), (1, "bad"), (125, "unknown"), (2, "unknown")])
def test_what_a_reproducer_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, wanted: Outcome
) -> None:
    def ended(command: list[str], *, log: Path, **_: object) -> int:
        log.write_text("a table\n\nVERDICT: so it is\n")
        assert command[1:] == ["-m", "harness.repro.command", "8306", "--vmm", str(tmp_path / "vmm")]
        return status

    monkeypatch.setattr(examine, "run_command", ended)
    assert examine._repro(plan(tmp_path), tmp_path / "vmm", tmp_path) == (wanted, "VERDICT: so it is")


@pytest.mark.parametrize(
    ("outcome", "find", "wanted"),
    [
        ("good", "broken", OLD),
        ("bad", "broken", NEW),
        ("good", "fixed", NEW),
        ("bad", "fixed", OLD),
        ("unknown", "broken", SKIP),
        ("unknown", "fixed", SKIP),
    ],
)
def test_what_git_is_told(tmp_path: Path, outcome: Outcome, find: str, wanted: int) -> None:
    found = Finding(commit="a" * 40, subject="s", outcome=outcome, reason="", seconds=0)
    assert answer(plan(tmp_path, find=find), found) == wanted


def test_a_step_that_cannot_work_stops_git_and_blames_no_commit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tmp_path / "none") == STOP
    assert main(plan(tmp_path, worktree=str(tmp_path / "none")).save()) == STOP
    assert "Traceback" not in capsys.readouterr().err


def test_a_command_that_overruns_is_ended_with_its_children(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", f"sleep 1000 & echo $! > {tmp_path}/pid; echo here; wait"]
    with pytest.raises(DeadlineExceeded, match=r"waited .* s for an answer; it last said: here"):
        run_command(command, log=log, within=1, doing="an answer", cwd=tmp_path)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_command_leaves_its_words_and_its_status(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", "echo one; echo two >&2; echo; exit 7"]
    assert run_command(command, log=log, within=10, doing="it", cwd=tmp_path) == 7
    assert last_line(log) == "two"


def test_a_build_that_goes_on_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "TELL_EVERY", 0.05)
    told: list[str] = []

    def tell(seconds: float, said: str) -> None:
        told.append(said)
        (tmp_path / "go").touch()

    command = ["sh", "-c", "echo compiling; until [ -e go ]; do :; done"]
    status = shell.run_command(
        command, log=tmp_path / "log", within=60, doing="the build", cwd=tmp_path, tell=tell
    )
    assert status == 0
    assert "compiling" in told
