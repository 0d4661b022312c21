from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CI = Path(__file__).resolve().parents[2] / "ci"


@pytest.mark.parametrize(("name", "status"), [("repro", 125), ("bisect", 2), ("merge", 2), ("gate", 2)])
def test_a_machine_that_is_not_set_up_is_no_verdict(tmp_path: Path, name: str, status: int) -> None:
    (tmp_path / "ci").mkdir()
    shutil.copy2(CI / name, tmp_path / "ci")
    (tmp_path / "ci/setup").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "ci/setup").chmod(0o755)
    assert subprocess.run([tmp_path / "ci" / name], timeout=60, check=False).returncode == status


@pytest.mark.parametrize(
    "script", [path for path in CI.iterdir() if path.is_file()], ids=lambda path: path.name
)
def test_every_command_can_be_started_and_is_bash(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], timeout=60, check=False).returncode == 0
