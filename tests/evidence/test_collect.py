"""From the phases of a test to one record, and from records to a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.evidence.collect import ATTRIBUTE, Collector, split_name, vmm_of
from harness.record.results import Result, Verdict, to_dict
from harness.run.session import Session


@pytest.mark.parametrize(
    ("nodeid", "vmm", "name"),
    [
        ("t.py::test_a[base]", "base", "t.py::test_a"),
        ("t.py::test_a[base-probe-tap]", "base", "t.py::test_a[probe-tap]"),
        ("t.py::test_a[base-base-3]", "base", "t.py::test_a[base-3]"),
        ("t.py::test_a[cloud-hypervisor-probe-3]", "cloud-hypervisor", "t.py::test_a[probe-3]"),
        ("t.py::test_a[v1.0+x-[1]]", "v1.0+x", "t.py::test_a[[1]]"),
        ("t.py::TestX::test_a", "base", "t.py::TestX::test_a"),
    ],
)
def test_name_of_a_test_is_the_same_on_every_vmm(nodeid: str, vmm: str, name: str) -> None:
    assert split_name(nodeid, vmm) == name


@pytest.mark.parametrize(
    ("nodeid", "vmm"),
    [
        ("t.py::test_a[base]", "base"),
        ("t.py::test_a[base-probe]", "base"),
        ("t.py::test_a[base-2-probe]", "base-2"),
        ("t.py::test_a[baseline-probe]", None),
        ("t.py::test_a", None),
    ],
)
def test_vmm_is_told_by_the_id_of_a_test(nodeid: str, vmm: str | None) -> None:
    assert vmm_of(nodeid, ["base", "base-2", "other"]) == vmm


@pytest.fixture
def collector(tmp_path: Path) -> Collector:
    return Collector(tmp_path, ["conformance/"])


def report(verdict: str | None, test: str = "t.py::test_a", vmm: str = "base", reason: str = "") -> Any:
    """A report as the collector sees it: with a record, or without one."""
    made = pytest.TestReport(test, ("t.py", 1, "test_a"), {}, "passed", None, "call")
    if verdict is not None:
        result = Result(
            test=test,
            vmm=vmm,
            version="v1",
            driver="probe",
            backend="tap",
            requirements=(),
            verdict=Verdict(verdict),
            seconds=0.5,
            reason=reason,
        )
        setattr(made, ATTRIBUTE, to_dict(result))
    return made


def verdicts(collector: Collector, **more: bool) -> dict[tuple[str, str], str]:
    run = collector.run(Session((), {}, 1), complete=True)
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
    for test in ("a", "b", "c"):
        collector.select(test, "base")
    collector.deselect(2)
    collector.add(report("pass", "b"))
    run = collector.run(Session((), {}, 1), complete=False)
    assert [entry.test for entry in run.not_run] == ["a", "c"]
    assert (run.selected, run.deselected, run.complete, run.everything_ran) == (3, 2, False, False)


def test_whole_run_knows_that_it_is_whole(collector: Collector) -> None:
    collector.select("t.py::test_a", "base")
    assert collector.anything
    collector.add(report("pass"))
    run = collector.run(Session((), {}, 7), complete=True)
    assert run.everything_ran
    assert run.host["seed"] == 7


def test_reports_of_others_are_none_of_ours(collector: Collector) -> None:
    collector.add(report(None))
    assert not collector.anything
