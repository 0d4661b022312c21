"""Every test of the suite names rows of the register, and every row is tested or says why not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.register.register import load_register

ROOT = Path(__file__).parents[2]
GRABBER = """
import json, sys
import pytest
class Grabber:
    def pytest_collection_finish(self, session):
        rows = lambda item: [row for mark in item.iter_markers("requirement") for row in mark.args]
        self.found = {item.nodeid: rows(item) for item in session.items}
grabber = Grabber()
code = pytest.main(sys.argv[1:], plugins=[grabber])
print("\\n" + json.dumps({"code": int(code), "tests": grabber.found}))
"""


@pytest.fixture(scope="module")
def tests() -> dict[str, list[str]]:
    """The suite's tests and the rows that each names."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("the suite needs a VMM to collect its tests for: apt-get install qemu-system-x86")
    words = ["conformance", "--collect-only", "-q", "-p", "no:xdist", "--vmm", "qemu=qemu-system-x86_64"]
    done = subprocess.run(
        [sys.executable, "-c", GRABBER, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["code"] == 0, done.stdout
    found: dict[str, list[str]] = answer["tests"]
    return found


def test_every_test_names_rows_and_every_row_is_tested(tests: dict[str, list[str]]) -> None:
    assert len(tests) > 100
    problems = load_register().check(tests)
    assert not problems, "\n".join(problem.text for problem in problems)
