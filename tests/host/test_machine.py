from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.deadline import PACE
from harness.errors import Unavailable
from harness.host import namespace

SETUP = Path(__file__).resolve().parents[2] / "ci/setup"


def test_another_machine_is_turned_away_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(Unavailable, match="this machine is aarch64, and the suite runs on x86-64 Linux only"):
        namespace.prepare()


def test_setup_installs_no_packages_there(tmp_path: Path) -> None:
    (tmp_path / "ci").mkdir()
    shutil.copy2(SETUP, tmp_path / "ci")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("uname", "echo aarch64"), ("apt-get", "touch installed"), ("dpkg-query", "exit 1")):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    done = subprocess.run(
        [tmp_path / "ci/setup", "packages"],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60 * PACE,
        check=False,
    )
    assert done.returncode == 1
    assert "this machine is aarch64, and VMMs are judged on x86-64 only" in done.stderr
    assert not (tmp_path / "installed").exists()
