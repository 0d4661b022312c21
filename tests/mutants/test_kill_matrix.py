"""Which mutant kills which test, and what ci/mutants says of it: no VMM, the runs are told."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from harness.errors import BadInput
from harness.mutants import __main__ as command
from harness.mutants import all_mutants, find_mutant, kills
from harness.record.results import Function, Run, Verdict, dumps
from harness.testbed.surroundings import Surroundings
from harness.vmm.base import Habits
from tests.synthetic_runs import MakeResult, MakeRun

FILE = "mq/test_a.py"
COUNT, RESET = f"{FILE}::test_count", f"{FILE}::test_reset"
OF_COUNT, OF_RESET = Function(FILE, "test_count"), Function(FILE, "test_reset")
Told = dict[str | None, dict[str, bool]]
"""For each mutant, and None for none: the tests that were judged, and whether each passed."""


@pytest.fixture
def tell(
    monkeypatch: pytest.MonkeyPatch, make_run: MakeRun, make_result: MakeResult
) -> Callable[[Told], None]:
    """Say what the runs find, instead of running anything."""

    def run(passed: dict[str, bool]) -> Run:
        verdicts = {test: "pass" if passes else "fail" for test, passes in passed.items()}
        return make_run(*(make_result(test, verdict=verdict) for test, verdict in verdicts.items()))

    return lambda told: monkeypatch.setattr(
        kills, "run_suite", lambda _vmm, name, _arguments: run(told[name])
    )


def test_mutant_kills_what_passed_before_and_fails_under_it(tell: Callable[[Told], None]) -> None:
    tell({None: {COUNT + "[1]": True, COUNT + "[2]": True, RESET: False}, "late": {COUNT + "[2]": False}})
    found = kills.measure(kills.suite("a-vmm", []), {"late": kills.suite("a-vmm", [], mutant="late")})
    assert found.by_mutant == {"late": {OF_COUNT}}
    assert found.tests == {OF_COUNT}, "a test that fails without a mutant has nothing to prove"
    assert not found.unkilled
    assert not found.harmless


def test_what_was_not_judged_under_a_mutant_is_not_killed(tell: Callable[[Told], None]) -> None:
    tell({None: {COUNT: True, RESET: True}, "late": {COUNT: True}})
    found = kills.measure(kills.suite("a-vmm", []), {"late": kills.suite("a-vmm", [], mutant="late")})
    assert found.unkilled == {OF_COUNT, OF_RESET}
    assert found.harmless == {"late"}


@pytest.mark.parametrize(
    ("verdict", "judged"),
    [
        (Verdict.PASS, [COUNT]),
        (Verdict.FAIL, [COUNT]),
        (Verdict.SKIP, []),
        (Verdict.ERROR, []),
    ],
)
def test_only_verdicts_about_the_vmm_count(
    monkeypatch: pytest.MonkeyPatch,
    make_run: MakeRun,
    make_result: MakeResult,
    verdict: Verdict,
    judged: list[str],
) -> None:
    found = dumps(make_run(make_result(COUNT, verdict=verdict)))

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        report = Path(words[words.index("--report") + 1])
        assert words[words.index("--mutant") + 1] == "late"
        (report / "results.json").write_bytes(found)
        return subprocess.CompletedProcess(words, 1, "", "")

    monkeypatch.setattr(kills, "run_tethered", run)
    assert list(kills.judged(kills.run_suite("a-vmm", "late", []))) == judged


def test_suite_that_could_not_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.CompletedProcess[str]([], 4, "", "no such program")
    monkeypatch.setattr(kills, "run_tethered", lambda *_, **__: ended)
    with pytest.raises(BadInput, match="the suite could not run: no such program"):
        kills.run_suite("a-vmm", None, [])


@pytest.mark.parametrize(
    ("under", "exceptions", "code", "said"),
    [
        ({COUNT: False, RESET: False}, "", 0, "killed by no test: 0 unexplained"),
        ({COUNT: False, RESET: True}, "", 1, f"no mutant kills: 1 unexplained\n  {RESET}"),
        ({COUNT: False, RESET: True}, f'[tests]\n"{RESET}" = "as told"\n', 0, "explained in known.toml: 1"),
        (
            {COUNT: True, RESET: True},
            f'[tests]\n"{COUNT}" = "a"\n"{RESET}" = "b"\n',
            1,
            "killed by no test: 1",
        ),
    ],
    ids=["all-killed", "unkilled", "explained", "harmless"],
)
def test_exit_code_says_whether_all_is_killed_or_explained(
    tell: Callable[[Told], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    under: dict[str, bool],
    exceptions: str,
    code: int,
    said: str,
) -> None:
    known = tmp_path / "known.toml"
    known.write_text(exceptions)
    monkeypatch.setattr(command, "EXCEPTIONS", known)
    monkeypatch.setattr(command, "all_mutants", lambda: {"late": all_mutants()["late"]})
    tell({None: {COUNT: True, RESET: True}, "late": under})
    assert command.main(["--vmm", "a-vmm"]) == code
    assert said in capsys.readouterr().out


def test_some_mutants_leave_tests_over_that_others_may_kill(
    tell: Callable[[Told], None], capsys: pytest.CaptureFixture[str]
) -> None:
    tell({None: {COUNT: True, RESET: True}, "late": {COUNT: False, RESET: True}})
    assert command.main(["--vmm", "a-vmm", "--only", "late"]) == 0
    assert f"none of these mutants kills: 1 unexplained\n  {RESET}" in capsys.readouterr().out


def test_builds_are_mutants_by_the_names_of_their_files(
    monkeypatch: pytest.MonkeyPatch,
    make_run: MakeRun,
    make_result: MakeResult,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, mode in (("ack-lost", 0o755), ("reset-forgotten", 0o755), ("notes.txt", 0o644)):
        (tmp_path / name).touch(mode)

    def run(vmm: str, name: str | None, _arguments: object) -> Run:
        assert name is None
        return make_run(make_result(COUNT, verdict="fail" if vmm.endswith("ack-lost") else "pass"))

    monkeypatch.setattr(kills, "run_suite", run)
    assert command.main(["--vmm", "right", "--builds", str(tmp_path)]) == 1
    assert "killed by no test: 1 unexplained\n  reset-forgotten" in capsys.readouterr().out
    assert command.main(["--vmm", "right", "--builds", str(tmp_path), "--only", "ack-lost"]) == 0


@pytest.mark.parametrize("only", [(), ("--only", "x")], ids=["all", "one"])
def test_folder_without_builds_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], only: tuple[str, ...]
) -> None:
    assert command.main(["--vmm", "right", "--builds", str(tmp_path), *only]) == 2
    assert f"--builds {tmp_path}" in capsys.readouterr().err
    assert command.main(["--vmm", "right", "--builds", str(tmp_path / "nowhere")]) == 2


def test_unknown_mutant_is_said_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--vmm", "a-vmm", "--only", "sleepy"]) == 2
    assert "there is no mutant 'sleepy'; there are swallow-all, " in capsys.readouterr().err


def test_damaged_exceptions_are_said(tmp_path: Path) -> None:
    damaged = tmp_path / "known.toml"
    damaged.write_text("[tests")
    with pytest.raises(BadInput, match="is not TOML"):
        command.exceptions(damaged)


def test_every_mutant_is_found_by_its_name() -> None:
    assert all(find_mutant(name) for name in all_mutants())


@pytest.mark.parametrize("name", all_mutants())
def test_a_mutant_changes_one_thing_and_leaves_what_it_was_given(name: str) -> None:
    given = Surroundings(programs={"some": Path("program")}, memory_room_mib=1)
    wrong = find_mutant(name)(given, Habits())
    changed = [
        field.name for field in fields(given) if getattr(given, field.name) != getattr(wrong, field.name)
    ]
    assert len(changed) == 1, changed
    assert given == Surroundings(programs={"some": Path("program")}, memory_room_mib=1)
