from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.expected.baseline import Baseline, Build, Expectation
from harness.expected.compare import Finding, Kind, against_baselines, builds, exit_code
from harness.record.results import Run, Verdict
from tests.synthetic_runs import not_run

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun

A = "t.py::test_a"


def _baselines(*expect: Expectation, requirements: tuple[str, ...] = ()) -> dict[Path, Baseline]:
    return {Path("some.toml"): Baseline(1, Build(kind="synthetic"), requirements, expect)}


def _expect(verdict: str, seen: str = "", test: str = A) -> Expectation:
    return Expectation((test,), Verdict(verdict), "known", seen=seen)


def _gate(run: Run, baselines: dict[Path, Baseline]) -> tuple[int, list[Kind]]:
    findings = against_baselines(run, baselines)
    return exit_code(findings, changed_matters=True), [f.kind for f in findings]


@pytest.mark.parametrize(
    ("expected", "verdict", "code", "kinds"),
    [
        (None, "pass", 0, []),
        (None, "fail", 1, [Kind.NEW_FAILURE]),
        (None, "xfail", 0, []),
        (None, "xpass", 0, [Kind.REPAIRED]),
        (None, "skip", 2, [Kind.LOST]),
        (None, "error", 2, [Kind.LOST]),
        ("fail", "fail", 0, []),
        ("fail", "xfail", 0, []),
        ("fail", "pass", 0, [Kind.REPAIRED]),
        ("fail", "skip", 2, [Kind.LOST]),
        ("fail", "error", 2, [Kind.LOST]),
        ("pass", "xfail", 1, [Kind.NEW_FAILURE]),
        ("pass", "fail", 1, [Kind.NEW_FAILURE]),
        ("skip", "skip", 0, []),
        ("skip", "pass", 0, [Kind.REPAIRED]),
        ("skip", "fail", 1, [Kind.NEW_FAILURE]),
        ("skip", "error", 2, [Kind.LOST]),
    ],
)
def test_every_pair_of_expected_and_seen(
    expected: str | None,
    verdict: str,
    code: int,
    kinds: list[Kind],
    make_result: MakeResult,
    make_run: MakeRun,
) -> None:
    baselines = _baselines(*([_expect(expected)] if expected else []))
    assert _gate(make_run(make_result(verdict=verdict)), baselines) == (code, kinds)


def test_another_reason_than_expected_is_a_regression(make_result: MakeResult, make_run: MakeRun) -> None:
    baselines = _baselines(_expect("fail", seen="lost # of # frames"))
    same = make_run(make_result(verdict="fail", reason="lost 3 of 64 frames"))
    other = make_run(make_result(verdict="fail", reason="the VMM died (killed by SIGSYS)"))
    assert _gate(same, baselines) == (0, [])
    assert _gate(other, baselines) == (1, [Kind.CHANGED])


def test_witnesses_that_disagree_in_a_pass_are_a_failure(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(make_result(disagreement=True))
    assert _gate(run, _baselines()) == (1, [Kind.NEW_FAILURE])
    assert _gate(run, _baselines(_expect("fail"))) == (0, [])


def test_a_build_without_a_baseline_is_expected_to_pass(make_result: MakeResult, make_run: MakeRun) -> None:
    assert _gate(make_run(make_result()), {}) == (0, [Kind.NOTE])
    assert _gate(make_run(make_result(verdict="fail")), {}) == (1, [Kind.NOTE, Kind.NEW_FAILURE])


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
    assert exit_code(against_baselines(make_run(make_result()), {}), changed_matters=True) == 0
    run = make_run(make_result(), **more)
    assert exit_code(against_baselines(run, {}), changed_matters=True) == 2
    assert exit_code(builds((run, "alpha"), (run, "alpha")), changed_matters=False) == 2


def test_a_vmm_without_results_was_not_judged(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(make_result())
    silent = make_run(vmms=run.vmms)
    assert exit_code(against_baselines(silent, {}), changed_matters=True) == 2


def test_a_regression_is_certain_whatever_else_is_missing(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(make_result(verdict="fail"), complete=False)
    assert _gate(run, {})[0] == 1


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
