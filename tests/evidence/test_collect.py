"""From the phases of a test to one record, and from records to a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.evidence.collect import ATTRIBUTE, Collector
from harness.record.results import Result, Verdict, to_dict
from harness.record.selection import Selection
from tests.synthetic_runs import names, not_run


@pytest.fixture
def collector(tmp_path: Path) -> Collector:
    return Collector(tmp_path, ["conformance/"], facts={"seed": 7})


def report(verdict: str | None, test: str = "t.py::test_a", vmm: str = "base", reason: str = "") -> Any:
    """A report as the collector sees it: with a record, or without one."""
    made = pytest.TestReport(test, ("t.py", 1, "test_a"), {}, "passed", None, "call")
    if verdict is not None:
        result = Result(
            **names(test),
            vmm=vmm,
            version="v1",
            parameters={"driver": "probe", "backend": "tap"},
            requirements=(),
            verdict=Verdict(verdict),
            seconds=0.5,
            reason=reason,
        )
        setattr(made, ATTRIBUTE, to_dict(result))
    return made


def verdicts(collector: Collector, **more: bool) -> dict[tuple[str, str], str]:
    run = collector.run(complete=True)
    return {(result.test, result.vmm): str(result.verdict) for result in run.results}


@pytest.mark.parametrize(
    ("phases", "verdict"),
    [
        ([None, "pass", None], "pass"),
        (["skip"], "skip"),
        (["error"], "error"),
        ([None, "fail", None], "fail"),
        ([None, "pass", "error"], "error"),
        ([None, "pass", "fail"], "fail"),
        ([None, "fail", "error"], "fail"),
        ([None, "xfail", "error"], "error"),
        ([None, "skip", "fail"], "fail"),
    ],
)
def test_worst_phase_stands(collector: Collector, phases: list[str | None], verdict: str) -> None:
    for phase in phases:
        collector.add(report(phase))
    assert verdicts(collector) == {("t.py::test_a", "base"): verdict}


def test_same_test_on_two_vmms_is_two_results(collector: Collector) -> None:
    collector.add(report("pass"))
    collector.add(report("fail", vmm="patched"))
    assert verdicts(collector) == {("t.py::test_a", "base"): "pass", ("t.py::test_a", "patched"): "fail"}


def test_what_never_began_is_named(collector: Collector) -> None:
    tests = tuple(not_run(test, "base") for test in ("a", "b", "c"))
    collector.selection = Selection(tests, deselected=2)
    collector.add(report("pass", "b"))
    run = collector.run(complete=False)
    assert [entry.test for entry in run.not_run] == ["a", "c"]
    assert (run.selected, run.deselected, run.complete, run.everything_ran) == (3, 2, False, False)


def test_whole_run_knows_that_it_is_whole(collector: Collector) -> None:
    collector.selection = Selection((not_run("t.py::test_a", "base"),))
    assert collector.anything
    collector.add(report("pass"))
    run = collector.run(complete=True)
    assert run.everything_ran
    assert run.host["seed"] == 7


def test_reports_of_others_are_none_of_ours(collector: Collector) -> None:
    collector.add(report(None))
    assert not collector.anything
