"""A run that is interrupted or killed: nothing may be left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.deadline import wait_until
from harness.errors import Owner
from harness.record.runs import folders, how_far, newest
from harness.scratch import PREFIX
from harness.vmm.base import Vmm
from tests.run.suite import PATIENCE, Suite
from tests.vmm.fakes import processes_naming

WAITS_FOREVER = """
import json, os, signal
from pathlib import Path
from harness.testbed.testbed import NicPlan

def test_waits(testbed, driver, backend):
    nic = testbed.nic(NicPlan(2), driver, backend)
    network = os.readlink("/proc/self/ns/net")
    told = {"vmm": nic.vm.pid, "network": network, "tap": sorted(os.listdir("/sys/class/net"))}
    Path("half").write_text(json.dumps(told))
    Path("half").rename("up")
    while True:
        signal.pause()
"""


@pytest.fixture
def run(suite: Suite, qemu: Vmm, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A run on the reference, in a process group of its own, that waits in the middle of a test with a live VM."""
    suite.know(qemu)
    suite.write(JUDGED_BEFORE + WAITS_FOREVER)
    command = suite.command(*request.param, builds=[f"qemu={qemu.path}"])
    with suite.start(command, process_group=0) as process:
        try:
            wait_until(
                "the test to be under way",
                lambda: under_way(process, suite),
                owed_by=Owner.HOST,
                within=30,
            )
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def under_way(process: subprocess.Popen[str], suite: Suite) -> bool:
    if process.poll() is not None:
        pytest.fail(f"the run ended early: {process.communicate()[0]}")
    return (suite.folder / "up").exists()


def announced(suite: Suite) -> Any:
    return json.loads((suite.folder / "up").read_text())


def in_network(network: str) -> list[str]:
    """Processes that live in a network namespace: while there are any, its taps are there."""
    found = []
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            if str(link.readlink()) == network:
                found.append(link.parts[2])
        except OSError:
            continue  # gone meanwhile
    return found


def await_nothing_left(suite: Suite) -> None:
    """No process, no namespace and so no tap."""
    network, folder = announced(suite)["network"], str(suite.folder)
    wait_until(
        "every process of the run to be gone",
        lambda: not in_network(network) and not processes_naming(folder),
        owed_by=Owner.HOST,
        within=30,
        last=lambda: [*in_network(network), *processes_naming(folder)],
    )


JUDGED_BEFORE = """
import pytest

@pytest.mark.parametrize("number", range(5))
def test_before(vmm, number):
    assert number != 3
"""
ALONE, WORKERS = pytest.param([], id="alone"), pytest.param(["-n", "2"], id="two-workers")


@pytest.mark.parametrize("run", [ALONE, WORKERS], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_interrupt_leaves_nothing_but_its_results(
    run: subprocess.Popen[str], suite: Suite, number: signal.Signals
) -> None:
    assert len(announced(suite)["tap"]) == 2  # the loopback and the tap
    assert in_network(announced(suite)["network"])
    os.killpg(run.pid, number)
    out, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == pytest.ExitCode.INTERRUPTED, out
    await_nothing_left(suite)
    assert list((suite.folder / "tmp").glob(f"{PREFIX}*")) == []
    assert not suite.results["complete"]
    assert sorted(suite.verdicts.values()) == ["fail", *["pass"] * 4]
    assert {case["function"] for case in suite.results["not_run"]} == {"test_waits"}
    (folder,) = folders(suite.folder / "report")
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["results.json"]


@pytest.mark.parametrize("run", [ALONE, WORKERS], indirect=True)
def test_killed_run_leaves_no_process_and_what_it_judged(run: subprocess.Popen[str], suite: Suite) -> None:
    assert in_network(announced(suite)["network"])
    run.kill()
    run.wait(PATIENCE)
    await_nothing_left(suite)
    left = newest(suite.folder / "report")
    assert sorted(str(result.verdict) for result in left.results) == ["fail", *["pass"] * 4]
    assert how_far(left) == "5 of 6 judged"


GATE = """
import sys
from pathlib import Path
from harness.gate import command, suite

def words(arguments):
    return [sys.executable, "-m", "pytest", "-n", "2", *arguments]

suite.words = words
sys.exit(command.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda n: n.name)
def test_gate_that_is_stopped_stops_its_run(suite: Suite, qemu: Vmm, number: signal.Signals) -> None:
    suite.know(qemu)
    suite.write(JUDGED_BEFORE + WAITS_FOREVER)
    sides = ["--base", f"old={qemu.path}", "--head", f"new={qemu.path}", "--report", "report"]
    with suite.start([sys.executable, "-c", GATE, *sides]) as process:
        wait_until(
            "the test to be under way",
            lambda: under_way(process, suite),
            owed_by=Owner.HOST,
            within=60,
        )
        process.send_signal(number)
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, out
    assert "gate: cannot judge: stopped" in out
    await_nothing_left(suite)
    assert len(newest(suite.folder / "report").results) >= 5
