"""Undisturbed runs: what flips is named with its shares, known flakes are shown, and what was drawn can be repeated."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path

import pytest

from harness.errors import BadInput
from harness.expected.baseline import Baseline, Build, Expectation, Outcome
from harness.expected.quarantine import FILE, Quarantined, load_quarantine
from harness.soak import __main__ as command
from harness.soak import run as run_module
from harness.soak.flips import Flips
from harness.soak.load import load
from harness.soak.rounds import TREND, Round, Ways, soak, trend
from harness.vmm.base import Vmm
from tests.run.suite import Suite
from tests.synthetic_runs import MakeResult, MakeRun

TODAY = date(2026, 11, 28)
FLAKY = """
import os, random
import pytest

@pytest.mark.parametrize("number", range(6))
def test_order(vmm, number):
    with open("order", "a") as file:
        file.write(f"{number} ")

def test_flips(vmm):
    flipped = os.path.exists("flipped")
    open("flipped", "w").close()
    assert not flipped
"""


def quarantined(tests: str = "t.py::*", expires: date = TODAY) -> Quarantined:
    return Quarantined((tests,), "the clock is coarse", "https://example.org/1", expires)


def flips_of(
    make_result: MakeResult,
    make_run: MakeRun,
    *verdicts: str,
    quarantine: tuple[Quarantined, ...] = (),
    baselines: dict[Path, Baseline] | None = None,
) -> Flips:
    found = Flips(baselines or {}, quarantine, TODAY)
    for verdict in verdicts:
        others = () if verdict == "none" else (make_result("t.py::test_a", verdict=verdict),)
        found.add(make_run(make_result("t.py::test_b"), *others))
    return found


def test_what_is_the_same_each_time_is_no_flip(make_result: MakeResult, make_run: MakeRun) -> None:
    assert flips_of(make_result, make_run, "pass", "pass").flips() == []


def test_flip_is_named_with_its_shares(make_result: MakeResult, make_run: MakeRun) -> None:
    (flip,) = flips_of(make_result, make_run, "pass", "error", "pass").flips()
    assert (flip.test, flip.vmm, flip.is_new) == ("t.py::test_a", "alpha", True)
    assert str(flip) == "t.py::test_a on alpha: 2 of 3 pass; 1 of 3 error\n    NEW"


def test_failures_of_other_kinds_are_a_flip(make_result: MakeResult, make_run: MakeRun) -> None:
    found = Flips({}, (), TODAY)
    for reason in ("assert 1 == 2", "the VMM died"):
        found.add(make_run(make_result(verdict="fail", reason=reason, key=reason)))
    assert len(found.flips()) == 1


def test_test_that_a_run_did_not_come_to_is_a_flip(make_result: MakeResult, make_run: MakeRun) -> None:
    (flip,) = flips_of(make_result, make_run, "pass", "none").flips()
    assert flip.outcomes == {"pass": 1, "not run": 1}


def test_flake_in_quarantine_is_shown_and_known(make_result: MakeResult, make_run: MakeRun) -> None:
    (flip,) = flips_of(make_result, make_run, "pass", "error", quarantine=(quarantined(),)).flips()
    assert not flip.is_new
    assert "quarantined until 2026-11-28: the clock is coarse (https://example.org/1)" in str(flip)


def test_quarantine_ends(make_result: MakeResult, make_run: MakeRun) -> None:
    ended = quarantined(expires=date(2026, 11, 27))
    (flip,) = flips_of(make_result, make_run, "pass", "error", quarantine=(ended,)).flips()
    assert flip.is_new
    assert "NEW: quarantined which ENDED on 2026-11-27" in str(flip)


def test_race_of_a_baseline_is_known(make_result: MakeResult, make_run: MakeRun) -> None:
    race = Expectation(("t.py::test_a",), Outcome.RACE, "two threads", outcomes={"pass": 0.5, "fail: *": 0.5})
    baseline = Baseline(1, Build(name="alpha"), expect=(race,))
    (flip,) = flips_of(make_result, make_run, "pass", "fail", baselines={Path("b"): baseline}).flips()
    assert not flip.is_new
    assert "a race of this build: two threads" in str(flip)


def test_outcome_that_a_race_does_not_list_is_new(make_result: MakeResult, make_run: MakeRun) -> None:
    race = Expectation(("t.py::test_a",), Outcome.RACE, "two threads", outcomes={"pass": 0.5, "fail: *": 0.5})
    baseline = Baseline(1, Build(name="alpha"), expect=(race,))
    (flip,) = flips_of(make_result, make_run, "pass", "error", baselines={Path("b"): baseline}).flips()
    assert flip.is_new


def test_quarantine_of_this_checkout_can_be_read() -> None:
    load_quarantine(FILE)


@pytest.mark.parametrize(
    "text",
    [
        "[[quarantine]]\ntests = ['a']\nreason = 'x'\nlink = 'y'\n",
        "[[quarantine]]\ntests = ['a']\nreason = ' '\nlink = 'y'\nexpires = 2027-01-01\n",
        "[[quarantine]]\ntests = ['a']\nreason = 'x'\nlink = ''\nexpires = 2027-01-01\n",
        "[[quarantine]]\ntests = ['a']\nreason = 'x'\nlink = 'y'\nexpires = 'soon'\n",
        "[[quarantine]\n",
    ],
)
def test_entry_without_reason_link_or_end_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "q.toml").write_text(text)
    with pytest.raises(BadInput, match="the quarantine"):
        load_quarantine(tmp_path / "q.toml")


@pytest.fixture
def here(suite: Suite, qemu: Vmm, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """A soak of this suite."""
    suite.know(qemu)
    suite.write(FLAKY)
    monkeypatch.chdir(suite.folder)
    monkeypatch.setenv("XDG_CACHE_HOME", suite.environment()["XDG_CACHE_HOME"])
    monkeypatch.setattr(run_module, "words", lambda given: [sys.executable, "-m", "pytest", *given])
    return suite


def test_soak_changes_the_order_and_names_what_flips(here: Suite, qemu: Vmm) -> None:
    told: list[str] = []
    found = Flips({}, (), TODAY)
    ways = Ways(["0"], [0, 1], ["--vmm", f"q={qemu.path}"])
    made: list[Round] = []
    soak(ways, lambda number: number < 3, found, here.folder / "soak", 5, told.append, made)
    orders = (here.folder / "order").read_text().split()
    thirds = [orders[0:6], orders[6:12], orders[12:18]]
    assert thirds[0] != thirds[1]
    assert all(sorted(third) == list("012345") for third in thirds)
    (flip,) = found.flips()
    assert flip.test == "test_it.py::test_flips"
    assert sorted(flip.outcomes.values()) == [1, 2]
    assert [each.left for each in made] == [()] * 3
    lines = (here.folder / "soak" / TREND).read_text().splitlines()
    assert [json.loads(line)["order"] for line in lines] == [each.order for each in made]
    assert "1 NEW" in told[-1]
    assert sum(int(str(cell)) for cell in list(trend(made).columns[2].cells)) == 3


def test_what_was_found_until_a_stop_is_shown(
    here: Suite, qemu: Vmm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(line: str) -> None:
        print(line)
        if "run 2" in line:
            raise KeyboardInterrupt

    monkeypatch.setattr(command, "_tell", tell)
    monkeypatch.setattr(command, "as_interrupts", lambda: None)
    monkeypatch.setattr(command, "UNDISTURBED", ())
    status = command.main(["--runs", "9", "--workers", "0", "--vmm", f"q={qemu.path}", "--report", "soak"])
    said = capsys.readouterr()
    assert status == 1, said
    assert "test_it.py::test_flips on q: 1 of 2" in said.out
    assert "2 runs, 1 flips, 1 NEW; 0 runs left something" in said.out
    assert "stopped" in said.err


def test_run_without_a_verdict_ends_the_soak_in_words(here: Suite) -> None:
    ways = Ways(["0"], [0], ["--no-such-option"])
    with pytest.raises(BadInput, match="run 1 came to no verdict"):
        soak(ways, lambda number: number < 3, Flips({}, (), TODAY), here.folder / "soak", 5, print, [])


def test_load_ends_with_its_block() -> None:
    def busy() -> int:
        """Our children, whatever they have come to be by now."""
        return sum(len(file.read_text().split()) for file in Path("/proc/self/task").glob("*/children"))

    before = busy()
    with load(2):
        assert busy() >= before + 2
