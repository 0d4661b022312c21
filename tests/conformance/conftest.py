"""The suite's tests as pytest collects them, each with its marks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.deadline import PACE

ROOT = Path(__file__).parents[2]
COLLECT = """
import json, sys
import pytest
from harness.run.case import case_of
MARKS = ("requirement", "drivers", "backends", "needs")
class Grabber:
    def pytest_collection_finish(self, session):
        self.found = []
        for item in session.items:
            case = case_of(item)
            marks = {
                name: [getattr(word, "name", str(word)) for mark in item.iter_markers(name) for word in mark.args]
                for name in MARKS
            }
            self.found.append([case.test, str(case.origin), item.fixturenames, marks])
grabber = Grabber()
code = pytest.main(sys.argv[1:], plugins=[grabber])
print("\\n" + json.dumps({"code": int(code), "tests": grabber.found}))
"""


class Collected(NamedTuple):
    """A test of the suite: its name in results, its function, its fixtures, and the words of its marks."""

    test: str
    function: str
    fixtures: list[str]
    marks: dict[str, list[str]]


@pytest.fixture(scope="session")
def collected() -> list[Collected]:
    """All of them, as on QEMU; which tests there are does not depend on the VMM."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("the suite needs a VMM to collect its tests for: apt-get install qemu-system-x86")
    words = ["conformance", "--collect-only", "-q", "-p", "no:xdist", "--vmm", "qemu=qemu-system-x86_64"]
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120 * PACE,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert answer["code"] == 0, done.stdout
    return [Collected(*each) for each in answer["tests"]]
