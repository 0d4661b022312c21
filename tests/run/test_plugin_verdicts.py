"""The plugin as a whole: what is written down of a run, alone and with two workers."""

from __future__ import annotations

import os
import re
import shlex
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.host.kvm import KVM
from harness.vmm.base import Vmm
from tests.run.suite import Ran, Suite
from tests.vmm.fakes import make_fake

ROOT = Path(__file__).parents[2]
KINDS = """
import pytest
from harness.errors import Unavailable
from harness.register.mark import requirement
from harness.vmm.base import VmConfig

@pytest.fixture
def broken():
    raise Unavailable("this host lacks a thing: get one")

@pytest.fixture
def vm(testbed):
    return testbed.launch(VmConfig(kernel=None))

@requirement("X-1", "X-2")
def test_pass(vmm): pass

def test_fail(vmm):
    assert vmm.name == "omega"

def test_skip(vmm):
    pytest.skip("because of a reason")

@pytest.mark.xfail(reason="known")
def test_xfail(vmm):
    assert not vmm

@pytest.mark.xfail(reason="known")
def test_xpass(vmm): pass

def test_error(vmm, broken): pass

def test_launch(testbed, driver, backend):
    testbed.launch(VmConfig(kernel=None))

def test_launched(vm): pass

@pytest.mark.legacy
def test_older(vmm, writer): pass

def test_never(vmm): pass

def test_without_a_vmm(): pass
"""
VERDICTS = {
    "test_pass": "pass",
    "test_fail": "fail",
    "test_skip": "skip",
    "test_xfail": "xfail",
    "test_xpass": "xpass",
    "test_error": "error",
    "test_launch[probe-tap]": "fail",
    "test_launched": "fail",
    "test_older[from-none]": "skip",
}


class Kinds(NamedTuple):
    suite: Suite
    ran: Ran


def run_kinds(folder: Path, image: Path, *more: str) -> Kinds:
    suite = Suite(folder, image)
    suite.write(KINDS)
    chosen = (
        "-k",
        "not never",
        "--seed",
        "4711",
        "--junitxml",
        "junit.xml",
        "-o",
        "junit_logging=system-out",
    )
    return Kinds(suite, suite.run(*chosen, *more))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, image: Path, runnable: None) -> Kinds:
    """A run in which every kind of verdict comes up, on a build that starts no VM."""
    return run_kinds(tmp_path_factory.mktemp("alone"), image)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory, image: Path, runnable: None) -> Kinds:
    """The same under xdist."""
    return run_kinds(tmp_path_factory.mktemp("workers"), image, "-n", "2")


@pytest.fixture(params=["alone", "two_workers"])
def kinds(request: pytest.FixtureRequest) -> Kinds:
    """Each of both."""
    found: Kinds = request.getfixturevalue(request.param)
    return found


def test_every_kind_of_verdict_is_recorded(kinds: Kinds) -> None:
    assert kinds.ran.code == 1
    assert kinds.suite.verdicts == VERDICTS


def test_run_knows_itself(kinds: Kinds) -> None:
    run = kinds.suite.results
    assert run["schema"] == 2
    assert run["host"]["seed"] == 4711
    assert [(vmm["name"], vmm["version"]) for vmm in run["vmms"]] == [("alpha", "99.9 (fake)")]
    assert (run["selected"], run["deselected"], run["not_run"], run["complete"]) == (9, 1, [], True)


def test_every_record_has_its_keys(kinds: Kinds) -> None:
    records = {record["test"].partition("::")[2]: record for record in kinds.suite.results["results"]}
    keys = {*("test", "file", "function", "parameters", "vmm", "version", "requirements", "verdict")}
    keys |= {"seconds", "reason"}
    assert all(keys <= set(record) for record in records.values())
    assert records["test_pass"]["requirements"] == ["X-1", "X-2"]
    assert records["test_pass"]["parameters"] == {}
    assert records["test_launch[probe-tap]"]["parameters"] == {"driver": "probe", "backend": "tap"}
    assert records["test_skip"]["reason"] == "because of a reason"
    assert records["test_error"]["reason"] == "this host lacks a thing: get one"


@pytest.mark.parametrize("test", ["test_launch[probe-tap]", "test_launched"])
def test_vmm_that_dies_at_start_fails_its_tests_with_its_words(kinds: Kinds, test: str) -> None:
    (record,) = [r for r in kinds.suite.results["results"] if r["test"].endswith(f"::{test}")]
    assert record["verdict"] == "fail"
    assert record["reason"].startswith("alpha died (exit status 1) while answering on its monitor; it said: ")
    assert "the fake VMM was told to fail" in record["details"]
    assert "the fake VMM was told to fail" in kinds.ran.out


def test_header_says_what_is_judged_and_how_to_repeat_it(kinds: Kinds) -> None:
    lines = kinds.ran.out.splitlines()
    at = lines.index("seed: 4711")
    assert lines[at + 1] == "vmm alpha: qemu 99.9 (fake)"
    assert lines[at + 2].startswith("    probe guest: no (alpha died (exit status 1)")


def test_matrix_ends_the_run(kinds: Kinds) -> None:
    shown = [line.split() for line in kinds.ran.out.partition(" verdicts ")[2].splitlines()]
    for row in (["test_fail", "FAIL"], ["test_error", "ERROR"]):
        assert row in shown
    assert ["test_pass", "pass"] not in shown, "what passes is counted, and shown by -v"
    assert "rows in which nothing is to be looked at: -v shows them" in kinds.ran.out


def test_causes_the_report_and_the_exit_status_in_words_end_the_run(kinds: Kinds) -> None:
    said = kinds.ran.out.partition(" causes ")[2]
    assert said.lstrip("= \n").startswith("alpha: 4 fail = 3 causes; no baseline is about this build")
    assert "ci/conformance 'test_it.py::test_fail[alpha]' --vmm alpha=" in said
    assert "report: report/report.html" in said
    assert "exit status 1: tests failed" in said
    assert (kinds.suite.folder / "report/report.html").is_file()


def test_junit_file_is_written(kinds: Kinds) -> None:
    (totals,) = ET.parse(kinds.suite.folder / "junit.xml").getroot().iter("testsuite")
    assert [totals.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["10", "2", "2", "3"]


def test_junit_file_says_on_what_and_how_to_repeat_it(kinds: Kinds) -> None:
    cases = {
        case.get("name", "").partition("[")[0]: {p.get("name"): p.get("value") for p in case.iter("property")}
        for case in ET.parse(kinds.suite.folder / "junit.xml").getroot().iter("testcase")
    }
    assert cases["test_pass"] == {
        **{"vmm": "alpha", "version": "99.9 (fake)", "requirements": "X-1 X-2"},
        **{"verdict": "pass", "seed": "4711"},
    }
    assert cases["test_launch"]["driver"] == "probe"
    assert (cases["test_fail"]["rerun"] or "").startswith("ci/conformance ")
    assert cases["test_fail"]["standing"] == "no baseline"
    assert cases["test_fail"]["cause"]
    assert [cases[f"test_{kind}"]["verdict"] for kind in ("xfail", "error")] == ["xfail", "error"]


def test_junit_file_attaches_the_bundle(kinds: Kinds) -> None:
    text = (kinds.suite.folder / "junit.xml").read_text()
    places = set(re.findall(r"\[\[ATTACHMENT\|(.*?)\]\]", text))
    assert len(places) == 2, "test_launch and test_launched had a testbed"
    assert all(place.startswith("report/runs/") for place in places)
    assert all((kinds.suite.folder / place).is_file() for place in places)


def test_bundle_of_a_vmm_that_died_at_start_has_its_command_and_log(alone: Kinds) -> None:
    (folder,) = (
        path for path in alone.suite.folder.glob("report/runs/*/failures/*launched*") if path.is_dir()
    )
    assert "qmp-dies-at-start" in (folder / "died-at-start/vm0/command.txt").read_text()
    assert "the fake VMM was told to fail" in (folder / "died-at-start/vm0/vmm.log").read_text()


def test_rerun_line_repeats_one_test(alone: Kinds) -> None:
    (record,) = [record for record in alone.suite.results["results"] if record["test"].endswith("test_fail")]
    program, *words = shlex.split(record["rerun"])
    assert program == "ci/conformance"
    again = alone.suite.execute([sys.executable, "-m", "pytest", "--report", "again", *words])
    assert "1 failed in" in again.out
    assert "seed: 4711" in again.out


def test_stopping_at_the_first_failure_names_what_never_began(suite: Suite) -> None:
    suite.write("def test_a(vmm):\n    assert 0\n" + "".join(f"def test_{n}(vmm): pass\n" for n in range(4)))
    ran = suite.run("-x")
    assert not suite.results["complete"]
    assert [entry["test"] for entry in suite.results["not_run"]] == [
        f"test_it.py::test_{n}" for n in range(4)
    ]
    assert "NOT RUN: 4 of 5 selected" in ran.out


def test_conformance_suite_runs_on_the_reference(suite: Suite, qemu: Vmm) -> None:
    suite.know(qemu)
    chosen = f"{ROOT}/conformance/mq/test_pairs_set.py::test_host_attaches_the_first_pairs"
    ran = suite.run(chosen, "-kprobe-tap", "-pno:cacheprovider", builds=[f"qemu={qemu.path}"])
    assert ran.code == 0, ran.out
    results = suite.results["results"]
    told = {"driver": "probe", "backend": "tap"}
    assert [r["verdict"] for r in results] == ["pass"] * 4
    assert [r["parameters"] for r in results] == [{**told, "pairs": pairs} for pairs in "1234"]


def test_build_that_dies_with_the_probe_guest_is_shown_once(suite: Suite) -> None:
    tests = [f"def test_{n}(testbed, driver): testbed.launch(VmConfig(kernel=None))" for n in range(4)]
    suite.write(
        "\n".join(["from harness.vmm.base import VmConfig", *tests, "def test_options(testbed): pass"])
    )
    assert suite.run().code == 1
    assert list(suite.verdicts.values()) == ["fail", "error", "error", "error", "pass"]
    reasons = [result["reason"] for result in suite.results["results"]]
    assert reasons[1].startswith("not judged, for alpha starts no VM, as another test shows: alpha died")


@pytest.mark.skipif(
    not os.access(KVM, os.R_OK | os.W_OK), reason=f"a cloud-hypervisor is tried with {KVM} only"
)
def test_vmm_that_hangs_at_start_costs_its_deadline_once(tmp_path: Path, image: Path, runnable: None) -> None:
    suite = Suite(tmp_path, image)
    tests = [f"def test_{n}(testbed): testbed.launch(VmConfig(kernel=None))" for n in range(5)]
    suite.write("\n".join(["from harness.vmm.base import VmConfig", *tests]))
    build = f"alpha={make_fake(tmp_path, 'hangs-at-start')}"
    ran = suite.execute(suite.command(builds=[build]), MQ_PACE="0.1")
    assert ran.code == 1
    assert list(suite.verdicts.values()) == ["fail", *["error"] * 4]
    assert "alpha to open its serial port" in suite.results["results"][0]["reason"]
    assert suite.results["results"][4]["reason"].startswith("not judged, for alpha starts no VM")
