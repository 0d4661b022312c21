from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.deadline import PACE
from harness.vmm.base import Vmm

PATIENCE = 60 * PACE
CHILD = Path(__file__).with_name("under_mutant.py")


def repro(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness.repro.command", *words]
    return run(command, **environment)


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("issue", "mutant", "held"),
    [("8306", "swallow-all", "pairs 0-3"), ("8307", "swallow-at-activation", "pairs 0-3")],
)
def test_a_vmm_that_is_right_is_fixed_and_made_wrong_it_is_reproduced(
    qemu: Vmm, issue: str, mutant: str, held: str
) -> None:
    right = repro(issue, "--vmm", str(qemu.path))
    assert (right.returncode, right.stderr) == (0, "")
    assert "FIXED: the host holds pair" in right.stdout
    wrong = run([sys.executable, str(CHILD), mutant, issue, str(qemu.path)])
    assert wrong.returncode == 1
    assert f"the host holds {held}" in wrong.stdout


@pytest.fixture
def silent(tmp_path: Path) -> str:
    """Passes for cloud-hypervisor until it has to run a VM."""
    file = tmp_path / "cloud-hypervisor"
    file.write_text('#!/bin/sh\n[ "$1" = --version ] && echo cloud-hypervisor v0 && exit\necho no; exit 1\n')
    file.chmod(0o755)
    return str(file)


def test_a_vmm_that_runs_no_vm_is_not_blamed(silent: str) -> None:
    done = repro("8306", "--vmm", silent)
    assert done.returncode == 125
    assert done.stderr.startswith("CANNOT TELL: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["8306", "--vmm", "/no/such/file"], "there is no such file"),
        (["8306", "--vmm", "/bin/true"], "--version"),
        (["8306"], "--vmm"),
        (["8305", "--vmm", "x"], "invalid choice"),
        ([], "required"),
    ],
)
def test_what_cannot_run_is_never_good_or_bad(words: list[str], said: str) -> None:
    done = repro(*words)
    assert done.returncode == 125
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_setting_that_fails_while_modules_load_is_never_bad() -> None:
    assert repro("8306", "--vmm", "/bin/true", MQ_PACE="nonsense").returncode == 125
