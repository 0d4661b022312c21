"""The plugin as a whole before VMMs that answer what nobody thought of: each costs one verdict, and no run."""

from __future__ import annotations

import os

import pytest

from harness.vmm.find import identify
from tests.run.suite import Suite
from tests.vmm.fakes import make_fake

TESTS = """
from harness.vmm.base import VmConfig

def test_first(vmm): pass

def test_vm(testbed):
    testbed.launch(VmConfig(kernel=None))
    assert not testbed.vms

def test_last(vmm): pass
"""


ODD = ("api-not-utf-8", "api-deep", "api-has-no-end", "api-rubbish", "floods-with-escapes")


def test_whatever_a_vmm_answers_the_others_are_judged(suite: Suite) -> None:
    builds = {behaviour: make_fake(suite.folder, behaviour) for behaviour in ODD}
    for behaviour, build in builds.items():
        suite.know(identify(behaviour, build))
    suite.write(TESTS)
    ran = suite.run(builds=[f"{behaviour}={build}" for behaviour, build in builds.items()])
    assert ran.code == 1, ran.out
    found = {(each["function"], each["vmm"]): each for each in suite.results["results"]}
    for behaviour in ODD:
        assert found["test_first", behaviour]["verdict"] == found["test_last", behaviour]["verdict"] == "pass"
        assert found["test_vm", behaviour]["verdict"] == "fail"
        assert "owed: not testbed.vms" in found["test_vm", behaviour]["reason"]
    assert not {"\x1b", "\x07", "\x9b"} & set(ran.out)


HEAVY = 300 << 10
"""KiB that a run may take at its peak."""
GREEDY = (
    *("api-deep", "api-drips", "api-has-no-end", "api-has-no-end-of-headers", "api-continues"),
    *("floods", "floods-with-escapes", "qmp-deep", "qmp-has-no-end"),
)


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", ["api-healthy", *GREEDY])
def test_memory_is_bounded_whatever_a_vmm_does(suite: Suite, behaviour: str) -> None:
    build = make_fake(suite.folder, behaviour)
    suite.know(identify("odd", build))
    suite.write(TESTS)
    running = suite.start(suite.command(builds=[f"odd={build}"]))
    assert running.stdout is not None
    said = running.stdout.read()
    running.stdout.close()
    _, status, usage = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    print(f"{behaviour}: {usage.ru_maxrss >> 10} MiB at its peak")
    assert running.returncode == 1, said
    assert suite.verdicts["test_last"] == "pass"
    assert usage.ru_maxrss < HEAVY


def test_report_path_that_is_no_utf_8_is_refused_at_the_start(suite: Suite) -> None:
    suite.write("def test_first(vmm): pass\n")
    ran = suite.run("--report", os.fsdecode(b"r\xff"))
    assert ran.code == 4
    assert "holds a byte that is no UTF-8, and results.json is UTF-8: choose another path" in ran.err
    assert not (suite.folder / os.fsdecode(b"r\xff")).exists()


def test_evidence_that_fails_by_a_fault_of_ours_costs_no_verdict(suite: Suite) -> None:
    build = make_fake(suite.folder, "api-healthy")
    suite.know(identify("odd", build))
    suite.write(
        "from harness.evidence import judge\n"
        "def broken(*_, **__): raise ZeroDivisionError('a fault')\n"
        "judge.remains = judge.merged = judge._witnesses = broken\n" + TESTS
    )
    ran = suite.run(builds=[f"odd={build}"])
    assert ran.code == 1, ran.out
    assert suite.verdicts == {"test_first": "pass", "test_vm": "fail", "test_last": "pass"}
    assert "there is no failure bundle (ZeroDivisionError: a fault): this is a fault of the suite" in ran.out
