from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.expected.baseline import Baseline, Build, Expectation, Outcome
from harness.expected.compare import Finding, Kind, against_baselines, builds, exit_code
from harness.record.results import Run
from tests.synthetic_runs import not_run

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun

A = "t.py::test_a"


def _baselines(*expect: Expectation, requirements: tuple[str, ...] = ()) -> dict[Path, Baseline]:
    return {Path("some.toml"): Baseline(1, Build(kind="synthetic"), requirements, expect)}


def _expect(verdict: str, seen: str = "", test: str = A) -> Expectation:
    return Expectation((test,), Outcome(verdict), "known", seen=seen)


def _gate(run: Run, baselines: dict[Path, Baseline]) -> tuple[int, list[Kind]]:
    findings = against_baselines(run, baselines)
    return exit_code(findings, changed_matters=True), [f.kind for f in findings]


Found = tuple[int, list[Kind]]
OK: Found = (0, [])
WORSE: Found = (1, [Kind.NEW_FAILURE])
OTHERWISE: Found = (1, [Kind.CHANGED])
BETTER: Found = (0, [Kind.REPAIRED])
LOST_IT: Found = (2, [Kind.LOST])
SEEN = ("pass", "disagree", "fail", "xfail", "xpass", "skip", "error")
PAIRS: dict[str | None, tuple[Found, ...]] = {
    None: (OK, WORSE, WORSE, OK, BETTER, LOST_IT, LOST_IT),
    "pass": (OK, WORSE, WORSE, WORSE, BETTER, LOST_IT, LOST_IT),
    "disagree": (BETTER, OK, WORSE, WORSE, BETTER, LOST_IT, LOST_IT),
    "fail": (BETTER, OTHERWISE, OK, OK, BETTER, LOST_IT, LOST_IT),
    "xfail": (BETTER, OTHERWISE, OK, OK, BETTER, LOST_IT, LOST_IT),
    "skip": (BETTER, WORSE, WORSE, WORSE, BETTER, OK, LOST_IT),
    "race of pass and fail": (OK, WORSE, OK, WORSE, OK, LOST_IT, LOST_IT),
    "race of disagree and fail": (OK, OK, OK, WORSE, OK, LOST_IT, LOST_IT),
}


@pytest.mark.parametrize(
    ("expected", "seen", "found"),
    [
        (expected, seen, found)
        for expected, row in PAIRS.items()
        for seen, found in zip(SEEN, row, strict=True)
    ],
)
def test_every_pair_of_expected_and_seen(
    expected: str | None,
    seen: str,
    found: Found,
    make_result: MakeResult,
    make_run: MakeRun,
) -> None:
    verdict = {"verdict": "pass", "disagreement": True} if seen == "disagree" else {"verdict": seen}
    key = "host" if seen == "fail" else ""
    result = make_result(reason="" if seen == "pass" else "why", key=key, **verdict)
    baselines = _baselines(*([_expected(expected)] if expected else []))
    assert _gate(make_run(result), baselines) == found


def _expected(words: str) -> Expectation:
    if not words.startswith("race of "):
        return _expect(words)
    names = words.removeprefix("race of ").split(" and ")
    outcomes = {"fail: host" if name == "fail" else name: 0.5 for name in names}
    return Expectation((A,), Outcome.RACE, "known", outcomes=outcomes)


def test_race_that_ends_in_a_new_way_is_a_regression(make_result: MakeResult, make_run: MakeRun) -> None:
    baselines = _baselines(_expected("race of pass and fail"))
    died = make_run(make_result(verdict="fail", reason="alpha died", key="died: SIGABRT"))
    (finding,) = against_baselines(died, baselines)
    assert finding.kind is Kind.NEW_FAILURE
    assert finding.text == "none of the outcomes seen before (pass, fail: host): alpha died"


@pytest.mark.parametrize(("verdict", "key"), [("pass", ""), ("fail", "host")])
def test_race_is_no_difference_between_two_builds(
    make_result: MakeResult, make_run: MakeRun, verdict: str, key: str
) -> None:
    race = _baselines(_expected("race of pass and fail"))
    base = make_run(make_result(vmm="alpha"), make_result(vmm="beta", verdict=verdict, key=key, reason="why"))
    assert builds((base, "alpha"), (base, "beta"), baselines=race) == []
    died = make_run(
        make_result(vmm="alpha"), make_result(vmm="beta", verdict="fail", key="died", reason="why")
    )
    assert [f.kind for f in builds((died, "alpha"), (died, "beta"), baselines=race)] == [Kind.NEW_FAILURE]


def test_failure_is_worse_than_witnesses_that_disagreed(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(
        make_result(vmm="alpha", disagreement=True), make_result(vmm="beta", verdict="fail", reason="why")
    )
    (finding,) = builds((run, "alpha"), (run, "beta"))
    assert (finding.kind, finding.text) == (
        Kind.NEW_FAILURE,
        "passed on alpha with witnesses that disagree: why",
    )


def test_another_key_than_expected_is_a_regression(make_result: MakeResult, make_run: MakeRun) -> None:
    baselines = _baselines(_expect("fail", seen="frames lost"))
    same = make_run(make_result(verdict="fail", reason="of 64 frames 3 lost", key="frames lost"))
    other = make_run(make_result(verdict="fail", reason="alpha died", key="died: SIGSYS"))
    assert _gate(same, baselines) == (0, [])
    assert _gate(other, baselines) == (1, [Kind.CHANGED])


def test_result_without_a_key_is_known_by_its_reason(make_result: MakeResult, make_run: MakeRun) -> None:
    baselines = _baselines(_expect("fail", seen="lost # of # frames"))
    assert _gate(make_run(make_result(verdict="fail", reason="lost 3 of 64 frames")), baselines) == (0, [])


@pytest.mark.parametrize("verdict", ["pass", "fail", "skip"])
def test_build_that_no_baseline_is_about_cannot_be_judged(
    make_result: MakeResult, make_run: MakeRun, verdict: str
) -> None:
    (finding,) = against_baselines(make_run(make_result(verdict=verdict, reason="why")), {})
    assert finding.kind is Kind.PROBLEM
    assert finding.text.startswith("no baseline is about synthetic ")
    assert exit_code([finding], changed_matters=True) == 2


@pytest.mark.parametrize(
    "more",
    [
        {"complete": False},
        {"selected": 2},
        {"deselected": 1},
        {"not_run": (not_run("t.py::test_b", "alpha"),), "selected": 2},
    ],
)
def test_it_is_never_green_when_something_was_not_run(
    more: dict[str, object], make_result: MakeResult, make_run: MakeRun
) -> None:
    assert exit_code(against_baselines(make_run(make_result()), _baselines()), changed_matters=True) == 0
    run = make_run(make_result(), **more)
    assert exit_code(against_baselines(run, _baselines()), changed_matters=True) == 2
    assert exit_code(builds((run, "alpha"), (run, "alpha")), changed_matters=False) == 2


def test_a_vmm_without_results_was_not_judged(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(make_result())
    silent = make_run(vmms=run.vmms)
    assert exit_code(against_baselines(silent, _baselines()), changed_matters=True) == 2


def test_a_regression_is_certain_whatever_else_is_missing(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(make_result(verdict="fail"), complete=False)
    assert _gate(run, _baselines())[0] == 1


def test_lost_coverage_shows(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(make_result(requirements=("NET-MQ-04",)))
    findings = against_baselines(run, _baselines(requirements=("NET-MQ-04", "NET-MQ-05")))
    assert [f.text for f in findings] == ["1 requirements were judged before: NET-MQ-05"]
    assert exit_code(findings, changed_matters=True) == 2


def test_a_baseline_that_names_unknown_tests_is_said(make_result: MakeResult, make_run: MakeRun) -> None:
    findings = against_baselines(make_run(make_result()), _baselines(_expect("fail", test="t.py::test_gone")))
    assert [f.text for f in findings] == ["some.toml names t.py::test_gone, which this run does not have"]
    assert exit_code(findings, changed_matters=True) == 2


def test_a_test_that_both_builds_skip_is_noted(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(
        *(make_result("t.py::test_a", vmm) for vmm in ("alpha", "beta")),
        *(make_result("t.py::test_b", vmm, "skip") for vmm in ("alpha", "beta")),
    )
    findings = builds((run, "alpha"), (run, "beta"))
    assert [(f.kind, f.text) for f in findings] == [(Kind.NOTE, "1 tests are skipped on both")]
    assert exit_code(findings, changed_matters=False) == 0


def _two(make_result: MakeResult, make_run: MakeRun, before: str, after: str) -> list[Finding]:
    run = make_run(make_result(vmm="alpha", verdict=before), make_result(vmm="beta", verdict=after))
    return builds((run, "alpha"), (run, "beta"))


@pytest.mark.parametrize(
    ("before", "after", "code", "kinds"),
    [
        ("pass", "pass", 0, []),
        ("pass", "fail", 1, [Kind.NEW_FAILURE]),
        ("xpass", "xfail", 1, [Kind.NEW_FAILURE]),
        ("fail", "pass", 0, [Kind.REPAIRED]),
        ("fail", "fail", 0, []),
        ("pass", "skip", 2, [Kind.LOST]),
        ("pass", "error", 2, [Kind.LOST]),
        ("error", "error", 2, [Kind.LOST]),
        ("skip", "skip", 2, [Kind.PROBLEM, Kind.NOTE]),
        ("skip", "pass", 0, []),
        ("skip", "fail", 1, [Kind.NEW_FAILURE]),
    ],
)
def test_every_pair_of_two_builds(
    before: str, after: str, code: int, kinds: list[Kind], make_result: MakeResult, make_run: MakeRun
) -> None:
    findings = _two(make_result, make_run, before, after)
    assert [finding.kind for finding in findings] == kinds
    assert exit_code(findings, changed_matters=False) == code


def test_a_reason_that_changed_between_builds_is_told(make_result: MakeResult, make_run: MakeRun) -> None:
    old = make_result(verdict="fail", reason="lost 3 frames")
    new = make_result(vmm="beta", verdict="fail", reason="the VMM died")
    run = make_run(old, new)
    (finding,) = builds((run, "alpha"), (run, "beta"))
    assert finding.kind is Kind.CHANGED
    assert finding.text == "“lost 3 frames” became: the VMM died"


def test_tests_that_the_head_has_not_are_lost(make_result: MakeResult, make_run: MakeRun) -> None:
    base = make_run(make_result("t.py::test_a"), make_result("t.py::test_b"))
    head = make_run(make_result("t.py::test_a"))
    findings = builds((base, "alpha"), (head, "alpha"))
    assert [(f.kind, f.test) for f in findings] == [(Kind.LOST, "t.py::test_b")]
    assert exit_code(builds((head, "alpha"), (base, "alpha")), changed_matters=False) == 0


def test_runs_of_different_suites_cannot_be_compared(make_result: MakeResult, make_run: MakeRun) -> None:
    one, other = make_run(make_result("t.py::test_a")), make_run(make_result("u.py::test_z"))
    findings = builds((one, "alpha"), (other, "alpha"))
    assert [f.kind for f in findings] == [Kind.PROBLEM]
    assert "different suites" in findings[0].text
    assert exit_code(findings, changed_matters=False) == 2


def test_two_builds_on_which_nothing_was_judged_are_not_green(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    findings = _two(make_result, make_run, "skip", "skip")
    assert exit_code(findings, changed_matters=False) == 2
    assert "no test was judged on beta" in [finding.text for finding in findings]


def test_a_build_is_not_changed_by_its_name(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(
        make_result(vmm="alpha", verdict="fail", reason="alpha died (killed by SIGABRT) at start"),
        make_result(vmm="beta", verdict="fail", reason="beta died (killed by SIGABRT) at start"),
    )
    assert builds((run, "alpha"), (run, "beta")) == []
