"""A worker that ends or freezes over a test: the test is an error that says so, and the run comes to its end."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from harness.record.results import from_dict
from harness.run import workers
from harness.run.workers import UnderWay, Watching, machine
from tests.run.suite import Suite

TESTS = """
import os, signal
import re
from pathlib import Path

def test_killed(testbed):
    folder = testbed.fresh_folder("vm")
    (folder / "vmm.log").write_text("its last words")
    os.kill(os.getpid(), signal.SIGKILL)

def test_frozen(vmm):
    os.kill(os.getpid(), signal.SIGSTOP)

def test_sound(vmm): pass
"""
CONFTEST = """
from harness.run import workers
workers.STANDS_STILL = 0.5
pytest_plugins = ("harness.run.plugin",)
"""
REASONS = {
    "test_killed": r"the worker gw\d ended over this test: its process \d+ was killed by SIGKILL",
    "test_frozen": r"the worker gw\d ended over this test: it was frozen \(SIGSTOP\) for 0 s, and was ended",
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, image: Path, runnable: None) -> Suite:
    """A run of two workers, which end over two of three tests."""
    suite = Suite(tmp_path_factory.mktemp("workers"), image)
    suite.write(TESTS)
    (suite.folder / "conftest.py").write_text(CONFTEST)
    assert suite.run("-n", "2").code == 1
    return suite


def under_way(machine: str) -> UnderWay:
    """A note of a process that is stopped, which is this machine's or another's."""
    case = {"test": "t.py::test_a", "file": "t.py", "function": "test_a", "parameters": {}, "vmm": "alpha"}
    result = from_dict(
        {**case, "version": "1", "requirements": [], "verdict": "error", "seconds": 0.0, "reason": "-"}
    )
    return UnderWay("t.py::test_a[alpha]", "gw0", 77, "/tmp/none", time.time(), result, machine)


@pytest.mark.parametrize(("where", "ended"), [("", False), ("of another machine", False), (machine(), True)])
def test_only_a_process_of_this_machine_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, ended: bool
) -> None:
    monkeypatch.setattr(workers, "_is_stopped", lambda pid: pid == 77)
    monkeypatch.setattr(workers, "STANDS_STILL", 0.0)
    watching = Watching(tmp_path, parks=False)
    assert bool(watching._stands_still(under_way(where))) is ended
    watching.close()


def record(suite: Suite, test: str) -> dict[str, Any]:
    (found,) = [r for r in suite.results["results"] if r["test"].partition("::")[2].partition("[")[0] == test]
    return dict(found)


@pytest.mark.parametrize("test", REASONS)
def test_worker_that_ended_is_named_with_its_end(suite: Suite, test: str) -> None:
    found = record(suite, test)
    assert found["verdict"] == "error"
    assert re.fullmatch(REASONS[test], found["reason"]), found["reason"]
    assert found["rerun"]
    assert (suite.folder / "report" / suite.results["folder"] / found["bundle"]).is_dir()


def test_what_the_vmm_said_is_kept(suite: Suite) -> None:
    folder = suite.folder / "report" / suite.results["folder"] / record(suite, "test_killed")["bundle"]
    (log,) = folder.glob("**/vmm.log")
    assert log.read_text() == "its last words"
    assert not list((suite.folder / "tmp").iterdir()), "a worker's folder outlives the run"


def test_run_comes_to_its_end_and_nothing_is_left_over(suite: Suite) -> None:
    assert record(suite, "test_sound")["verdict"] == "pass"
    assert suite.results["not_run"] == []
    assert not list(suite.folder.glob("report/runs/*/under-way"))
