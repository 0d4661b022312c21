from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.command_line import COMMANDS
from harness.deadline import PACE
from harness.version import VERSION

CI = Path(__file__).resolve().parents[2] / "ci"
SCRIPTS = sorted(path for path in CI.iterdir() if path.is_file())
OF_THE_CHECKOUT = {"fresh", "release", "test"}
"""Those that make no sense without one."""


@pytest.mark.parametrize(
    ("name", "status"),
    [("repro", 125), ("bisect", 2), ("merge", 2), ("gate", 2), ("patch", 2), ("report", 2)],
)
def test_a_machine_that_is_not_set_up_is_no_verdict(tmp_path: Path, name: str, status: int) -> None:
    (tmp_path / "ci").mkdir()
    shutil.copy2(CI / name, tmp_path / "ci")
    (tmp_path / "ci/setup").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "ci/setup").chmod(0o755)
    assert subprocess.run([tmp_path / "ci" / name], timeout=60 * PACE, check=False).returncode == status


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_command_can_be_started_and_is_bash(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], timeout=60 * PACE, check=False).returncode == 0


def test_every_command_is_one_of_the_installed_program_too() -> None:
    assert {path.name for path in SCRIPTS} - OF_THE_CHECKOUT == set(COMMANDS)
    for name, (module, _) in COMMANDS.items():
        starts = f"-m {module.removesuffix('.__main__')} "
        assert name == "setup" or starts in (CI / name).read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_command_says_its_version_and_what_it_is_for(tmp_path: Path, script: Path) -> None:
    (tmp_path / "harness").symlink_to(CI.parent / "harness")
    (tmp_path / "ci").mkdir()
    shutil.copy2(script, tmp_path / "ci")
    if script.name not in ("fresh", "release", "setup", "test"):  # these say it without an environment
        (tmp_path / "ci/setup").write_text("#!/bin/sh\n")
        (tmp_path / "ci/setup").chmod(0o755)
        (tmp_path / ".venv/bin").mkdir(parents=True)
        (tmp_path / ".venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (tmp_path / ".venv/bin/python").chmod(0o755)
    elif script.name != "setup":
        shutil.copy2(CI / "setup", tmp_path / "ci")

    def say(word: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(tmp_path / "ci" / script.name), word]
        ours = os.environ | environment
        return subprocess.run(
            command, env=ours, capture_output=True, text=True, timeout=60 * PACE, check=False
        )

    done = say("--version")
    assert (done.returncode, done.stdout) == (0, f"virtio-net-mq {VERSION}\n"), done.stderr
    done = say("--help", LC_ALL="C", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert f"ci/{script.name}" in done.stdout, done.stderr
    assert done.returncode == 0 or script.name == "conformance", (
        "which becomes pytest, and there are no tests here"
    )


@pytest.mark.parametrize(("name", "status"), [("repro", 125), ("gate", 2), ("report", 2), ("shell", 2)])
def test_pace_that_is_none_is_one_sentence(name: str, status: int) -> None:
    module, _ = COMMANDS[name]
    command = [sys.executable, "-m", module]
    done = subprocess.run(
        command,
        env=os.environ | {"MQ_PACE": "abc"},
        capture_output=True,
        text=True,
        timeout=60 * PACE,
        check=False,
    )
    assert done.returncode == status
    assert "MQ_PACE='abc' is not a positive number" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
