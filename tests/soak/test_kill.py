"""Runs that are struck by signals, on small suites of fake tests: what is left, lost or harmed is found."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.bounded import MIB, run
from harness.checkout import ROOT
from harness.deadline import Deadline
from harness.errors import BadInput
from harness.record.results import load
from harness.soak import kill, leftovers, processes
from harness.soak import run as run_module
from harness.soak.__main__ import CHOSEN, SMALL
from harness.soak.kill import MAIN, TARGETS, Unharmed, plan, strike, unharmed
from harness.soak.kill_table import kill_table
from harness.soak.leftovers import Before
from harness.soak.run import ObservedRun
from harness.soak.told import node_id, told
from harness.vmm.base import Vmm
from tests.run.suite import Suite

QUICK = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_before(vmm, number):
    assert number != 3
"""
LONG = """
import signal

def test_long(vmm):
    signal.sigtimedwait([], 60)
"""
LEAVES_A_PROCESS = """
import signal, subprocess, sys

# while the tests are collected: by the time that the quick ones have ended it is there
subprocess.Popen([sys.executable, "-c", "import signal; signal.sigtimedwait([], 30)"], start_new_session=True)

def test_leaves(vmm):
    signal.sigtimedwait([], 60)
"""


@pytest.fixture
def start(suite: Suite, qemu: Vmm, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ObservedRun]:
    """Starts a run of these tests under observation."""
    suite.know(qemu)
    monkeypatch.chdir(suite.folder)
    monkeypatch.setattr(run_module, "words", lambda given: [sys.executable, "-m", "pytest", *given])
    monkeypatch.setattr(run_module, "GONE_WITHIN", 3.0)

    def start(tests: str) -> ObservedRun:
        suite.write(tests)
        folder = suite.folder / f"run{len(list(suite.folder.glob('run*')))}"
        folder.mkdir()
        return ObservedRun(
            ["--vmm", f"q={qemu.path}"],
            suite.folder / "report",
            folder,
            {"XDG_CACHE_HOME": suite.environment()["XDG_CACHE_HOME"]},
        )

    return start


def blow(run: ObservedRun, number: signal.Signals, like: Unharmed) -> kill.Blow:
    """Strike the main process once the quick tests have ended."""
    with run:
        while run.status is None and len(told(run.said())) < len(like.verdicts):
            run.wait(0.02)
        struck = kill._struck(run, MAIN, number, 0, [], random.Random(1))
        assert struck is not None, run.said()
        return kill._looked_at(run, MAIN, number, *struck, like)


EXPECTED = {f"test_it.py::test_before[q-{i}]": "fail" if i == 3 else "pass" for i in range(4)}


@pytest.mark.parametrize("number", kill.SIGNALS, ids=lambda number: number.name)
def test_struck_run_leaves_nothing_and_loses_nothing(
    start: Callable[[str], ObservedRun], number: signal.Signals
) -> None:
    found = blow(start(QUICK + LONG), number, Unharmed(EXPECTED, 1.0, [MAIN]))
    assert found.faults == ()
    assert found.kept == 4
    assert found.gone_after is not None


def test_what_a_run_leaves_is_a_fault(start: Callable[[str], ObservedRun]) -> None:
    found = blow(start(QUICK + LEAVES_A_PROCESS), signal.SIGKILL, Unharmed(EXPECTED, 1.0, [MAIN]))
    assert found.gone_after is None
    assert any(fault.startswith("left: process ") and "sigtimedwait" in fault for fault in found.faults)
    assert "NEVER" in [cell for column in kill_table([found]).columns for cell in column.cells]


def test_verdict_that_is_not_in_the_results_is_a_fault(
    start: Callable[[str], ObservedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(QUICK + LONG)
    monkeypatch.setattr(ObservedRun, "found", lambda _: None)
    found = blow(run, signal.SIGKILL, Unharmed(EXPECTED, 1.0, [MAIN]))
    assert sum(fault.startswith("lost: ") for fault in found.faults) == 4


def test_verdict_that_is_another_than_undisturbed_is_a_fault(start: Callable[[str], ObservedRun]) -> None:
    like = Unharmed({**EXPECTED, "test_it.py::test_before[q-0]": "fail"}, 1.0, [MAIN])
    (fault,) = blow(start(QUICK + LONG), signal.SIGTERM, like).faults
    assert fault.startswith("harmed by what came before: test_it.py::test_before[q-0] is pass")


def test_run_that_is_of_no_use_undisturbed_is_said(
    suite: Suite, start: Callable[[str], ObservedRun], qemu: Vmm
) -> None:
    start("").__exit__()  # for the folder
    with pytest.raises(BadInput, match="no verdict even undisturbed"):
        unharmed(["--no-such-option"], suite.folder / "report", suite.folder / "run-x", [qemu.path])


def test_nothing_to_strike_is_no_blow(
    suite: Suite, start: Callable[[str], ObservedRun], qemu: Vmm, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(QUICK).__exit__()
    monkeypatch.setattr(kill, "ATTEMPTS", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", suite.environment()["XDG_CACHE_HOME"])
    arguments = ["--vmm", f"q={qemu.path}"]
    like = Unharmed(EXPECTED, 0.1, [MAIN])
    struck = strike(
        "back end",
        signal.SIGKILL,
        like,
        arguments=arguments,
        report=suite.folder / "report",
        folder=suite.folder / "run-y",
        vmms=[],
        rng=random.Random(1),
    )
    assert struck is None


def test_every_target_gets_every_signal_equally_often() -> None:
    blows = list(plan(40, TARGETS, random.Random(7)))
    assert {blows.count((target, number)) for target in TARGETS for number in kill.SIGNALS} == {2}
    assert list(plan(40, TARGETS, random.Random(7))) == blows


def process(pid: int, parent: int, program: str) -> processes.Process:
    return processes.Process(pid, parent, Path(program), program)


def test_processes_are_told_apart_by_role() -> None:
    found = processes.by_role(
        [
            process(10, 1, "/usr/bin/python3"),
            process(11, 10, "/usr/bin/python3"),
            process(12, 10, "/usr/bin/dash"),
            process(13, 11, "/opt/vmm"),
            process(14, 11, "/usr/bin/dpdk-testpmd"),
            process(15, 11, "/usr/bin/python3"),
        ],
        10,
        [Path("/opt/vmm")],
    )
    assert found == {"main": [10], "worker": [11], "VMM": [13], "back end": [14]}


def test_folders_interfaces_and_shared_memory_are_left(tmp_path: Path) -> None:
    (tmp_path / "vnmq-x").mkdir()
    found = leftovers.left("none", tmp_path, Before(frozenset(), leftovers._shared()))
    assert f"folder {tmp_path}/vnmq-x" in found
    assert "interface lo" in found


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("conformance/a.py::test_b[p-probe-tap-1] PASSED                        [  1%]", "pass"),
        ("[gw1] [ 27%] FAILED conformance/a.py::test_b[p-probe-tap-1] ", "fail"),
        ("conformance/a.py::test_b[p-probe-tap-1] SKIPPED (it lacks: this)      [  1%]", "skip"),
        ("conformance/a.py::test_b[p-probe-tap-1] ", None),
    ],
)
def test_verdicts_are_read_from_what_is_told(line: str, verdict: str | None) -> None:
    assert told(line).get("conformance/a.py::test_b[p-probe-tap-1]") == verdict


def test_node_ids_are_those_of_the_results(suite: Suite, qemu: Vmm) -> None:
    suite.know(qemu)
    suite.write(QUICK)
    ran = suite.run("-v", builds=[f"q={qemu.path}"])
    results = load(suite.folder / "report").results
    assert [node_id(result) for result in results] == list(EXPECTED) == list(told(ran.out))


def test_small_run_has_a_test_of_each_real_back_end_that_it_can_strike(qemu: Vmm) -> None:
    words = [*SMALL, *CHOSEN, "--collect-only", "-q", "--vmm", f"q={qemu.path}"]
    status, said, errors = run([sys.executable, "-m", "pytest", *words], MIB, Deadline(60), folder=ROOT)
    assert status == 0, said + errors
    assert "-probe-testpmd]" in said
    assert "-probe-vhost_user_net]" in said
