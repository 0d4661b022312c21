"""Every kind of report comes back from the lab as it was: what pytest makes of it is the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.checkout import ROOT
from harness.deadline import PACE

KINDS = """
import pytest

@pytest.fixture
def broken(): raise RuntimeError("broken at its setup")

@pytest.fixture
def leaky():
    yield
    raise RuntimeError("broken at its teardown")

def test_pass(record_property):
    print("said")
    record_property("seed", 7)

def test_fail():
    number = {"one": 1}
    assert number == {"one": 2}, "not two"

def test_chain():
    try:
        {}["key"]
    except KeyError as error:
        raise ValueError("because of it") from error

def test_skip(): pytest.skip("for a reason")

@pytest.mark.skip(reason="marked so")
def test_marked(): pass

@pytest.mark.xfail(reason="known")
def test_xfail(): assert False

@pytest.mark.xfail(reason="known")
def test_xpass(): pass

@pytest.mark.xfail(reason="known", strict=True)
def test_strict(): pass

def test_error(broken): pass
def test_teardown(leaky): pass
def test_bare(): raise SystemError

@pytest.mark.parametrize("word", ["a", "\u00e4"])
def test_parameters(word): assert word == "a"
"""
THERE_AND_BACK = """
import msgspec, pytest
from harness.lab.reports import packed, unpacked

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    wire = msgspec.json.encode(packed(item.config, report))
    return unpacked(item.config, msgspec.json.decode(wire))
"""


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-v",),
        ("-rA",),
        ("--tb=long", "--showlocals"),
        ("--tb=line", "-q"),
        ("--tb=native", "-vv", "-rA"),
    ],
    ids=" ".join,
)
def test_report_is_the_same_after_the_way_there_and_back(tmp_path: Path, options: tuple[str, ...]) -> None:
    ways = [
        said_of(tmp_path / name, conftest, options)
        for name, conftest in (("here", ""), ("lab", THERE_AND_BACK))
    ]
    here, lab = ways
    assert "12 failed" not in here[0]
    assert lab == here
    assert "marked so" in here[1]


def said_of(folder: Path, conftest: str, options: tuple[str, ...]) -> tuple[str, str]:
    """What a run prints and writes as JUnit XML, but for times and folders."""
    folder.mkdir()
    (folder / "test_it.py").write_text(KINDS)
    (folder / "conftest.py").write_text(conftest)
    (folder / "pytest.ini").write_text("[pytest]\njunit_logging = system-out\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--junitxml", "junit.xml", *options]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60 * PACE,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return without_chance(done.stdout, folder), without_chance((folder / "junit.xml").read_text(), folder)


def without_chance(text: str, folder: Path) -> str:
    """A text without what differs from run to run."""
    text = re.sub(r"\b\d+\.\d+(s\b)?|0x[0-9a-f]+", "#", text.replace(str(folder), "."))
    return re.sub(r'(timestamp|hostname)="[^"]*"', "", text)
