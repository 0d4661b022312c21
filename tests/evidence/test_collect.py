"""From the phases of a test to one record, and from records to a run."""

from __future__ import annotations

import errno
import hashlib
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.evidence.collect import ATTRIBUTE, Collector
from harness.record import ongoing
from harness.record.results import Result, Verdict, VmmInfo, from_dict, load, to_dict, utc_now
from harness.record.selection import Selection
from harness.vmm.cloud_hypervisor import CloudHypervisor
from tests.synthetic_runs import names, not_run


@pytest.fixture
def collector(tmp_path: Path) -> Collector:
    return Collector(tmp_path, ["conformance/"], facts={"seed": 7})


def report(verdict: str | None, test: str = "t.py::test_a", vmm: str = "base", lab: str = "") -> Any:
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
            reason="",
            lab=lab,
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


def test_run_says_what_it_was_about(tmp_path: Path) -> None:
    binary = tmp_path / "ch"
    binary.write_bytes(b"a build")
    vmms = [CloudHypervisor("base", binary, "v1"), CloudHypervisor("gone", tmp_path / "gone", "v2")]
    before = utc_now()
    collector = Collector(tmp_path / "report", ["ci/conformance", "-x"], vmms, {"seed": 7})
    for lab in ("a machine", "", "another", "a machine"):
        collector.add(report("pass", lab + "::test", lab=lab))
    run = collector.run(complete=False)
    assert run.vmms == (
        VmmInfo("base", "cloud-hypervisor", "v1", str(binary), hashlib.sha256(b"a build").hexdigest()),
        VmmInfo("gone", "cloud-hypervisor", "v2", str(tmp_path / "gone"), ""),
    )
    assert run.host == {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "seed": 7,
        "lab": ["a machine", "another"],
    }
    assert run.command == ("ci/conformance", "-x")
    assert before <= run.started <= run.finished <= utc_now()
    assert tmp_path / "report" / run.folder == collector.store.folder


def test_run_is_known_to_go_on_until_it_is_saved(collector: Collector) -> None:
    head = load(collector.store.folder / ongoing.HEAD)
    assert (head.command, head.complete, head.host["seed"]) == (("conformance/",), False, 7)
    assert ongoing.goes_on(collector.store.folder)
    collector.add(report("pass"))
    collector.save(complete=True)
    assert not ongoing.goes_on(collector.store.folder)
    collector.discard()
    assert [path.name for path in collector.store.folder.iterdir()] == ["results.json"], "it stays now"
    assert load(collector.store.report).complete
    assert collector.unsaved == ""


def test_disk_that_is_full_at_the_beginning_costs_nothing_but_the_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ongoing, "begin", full)
    collector = Collector(tmp_path, ["conformance/"])
    collector.add(report("fail"))
    collector.save(complete=True)
    assert [result.verdict for result in load(tmp_path).results] == ["fail"]


def test_what_a_dead_worker_had_judged_is_saved(collector: Collector) -> None:
    records = ongoing.Records(collector.store.folder, "gw0")
    for test, verdict in [("a", "fail"), ("b", "pass"), ("c", "fail")]:
        records.append(from_dict(getattr(report(verdict, test), ATTRIBUTE)))
    collector.add(report("error", "b"))
    collector.add(report("pass", "c"))
    collector.save(complete=False)
    run = load(collector.store.report)
    assert {result.test: result.verdict for result in run.results} == {"a": "fail", "b": "error", "c": "fail"}
    assert not run.complete


def test_what_a_worker_set_out_for_is_found_later(collector: Collector) -> None:
    assert not collector.anything
    Selection((not_run("a", "base"), not_run("b", "base"))).write(collector.store.folder)
    assert collector.anything
    assert [case.test for case in collector.run(complete=False).not_run] == ["a", "b"]
    Selection((not_run("other", "base"),)).write(collector.store.folder)
    assert collector.run(complete=False).selected == 2, "what is known is not asked for again"


def test_run_about_nothing_leaves_nothing(collector: Collector) -> None:
    collector.discard()
    assert not collector.store.folder.exists()


Later = Callable[[Path], Collector]


def _whole(folder: Path) -> Collector:
    later = Collector(folder, [])
    later.add(report("pass"))
    later.save(complete=True)
    return later


def _part(folder: Path) -> Collector:
    later = Collector(folder, [])
    later.selection = Selection((not_run("t.py::test_a", "base"),), narrowed=True)
    later.save(complete=True)
    return later


def _interrupted(folder: Path) -> Collector:
    later = Collector(folder, [])
    later.save(complete=False)
    return later


@pytest.mark.parametrize(
    ("later", "where"),
    [
        (_whole, "results: {top}"),
        (_part, "results: {own}, of a part of the suite; {top} is still that of the whole run of {before}"),
        (
            _interrupted,
            "results: {own}, of a run without an end; {top} is still that of the whole run of {before}",
        ),
        (lambda folder: Collector(folder, []), "results: {own}"),
    ],
)
def test_where_results_are_and_what_is_on_top(tmp_path: Path, later: Later, where: str) -> None:
    before = _whole(tmp_path).run(complete=True).started
    collector = later(tmp_path)
    top, own = tmp_path / "results.json", collector.store.folder / "results.json"
    if where == "results: {own}":
        top.unlink()
    assert collector.where() == where.format(top=top, own=own, before=before)
