"""The wheel: it holds what a checkout does, and judges from another folder."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from harness.checkout import ROOT
from harness.command_line import COMMANDS
from harness.deadline import PACE
from harness.version import VERSION
from harness.vmm.base import Vmm

TEST = "conformance/mq/test_pairs_set.py::test_host_attaches_the_first_pairs[q-probe-tap-2]"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120 * PACE, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


class Installed:
    """The wheel's program, run in a folder that has nothing to do with it."""

    def __init__(self, place: Path, folder: Path) -> None:
        self.folder = folder
        self._environment = {**os.environ, "PYTHONPATH": str(place)}

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness.command_line", *words],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120 * PACE,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    place = tmp_path_factory.mktemp("site-packages")
    ZipFile(wheel).extractall(place)
    return Installed(place, tmp_path_factory.mktemp("elsewhere"))


def results(installed: Installed) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((installed.folder / "there/results.json").read_text())["results"]
    return found


def test_it_has_the_version_and_the_suite(wheel: Path) -> None:
    assert wheel.name.split("-")[1] == VERSION
    inside = set(ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "conformance", "fixtures", "ci/baselines", "ci/setup", "pyproject.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60 * PACE,
    ).stdout.split()
    assert len(tracked) > 50
    assert {f"harness/suite/{name}" for name in tracked} <= inside
    assert not {name for name in inside if name.startswith(("tests/", "docs/"))}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_there_and_calls_itself_by_its_name(installed: Installed, name: str) -> None:
    done = installed(name, "--help")
    assert done.returncode == 0, done.stderr
    assert name == "setup" or f"usage: virtio-net-mq {name}" in done.stdout
    assert "ci/" not in done.stdout.split("virtio-net multiqueue:")[0].replace("ci/baselines", "")


def test_it_judges_from_another_folder_and_the_line_that_repeats_a_test_works_there(
    installed: Installed, qemu: Vmm, runnable: None
) -> None:
    words = ["--vmm", f"q={qemu.path}", "--mutant", "swallow-attach", "--report", "there", "-q"]
    done = installed("conformance", TEST, *words)
    assert done.returncode == 1, done.stdout + done.stderr
    (red,) = results(installed)
    assert red["verdict"] == "fail", red
    program, command, *again = shlex.split(red["rerun"])
    assert (program, command) == ("virtio-net-mq", "conformance")
    assert installed(command, *again, "--report", "there").returncode == 1
    assert [result["test"] for result in results(installed)] == [red["test"]]
    gate = installed("gate", "there")
    assert "q against" in gate.stdout
