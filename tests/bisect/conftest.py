"""Tiny repositories: a commit holds a file `state`, and building it copies that to `out/vmm`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.bisect import examine, search
from harness.deadline import PACE
from tests.bisect.quick_step import read_answer
from tests.synthetic_runs import make_result, make_run

IDENTITY = {
    **{
        f"GIT_{who}_{what}": f"{what}@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
    "GIT_CONFIG_GLOBAL": os.devnull,
}
BUILD = "mkdir -p out && grep -v nonsense state > out/vmm"

__all__ = ["make_result", "make_run"]  # fixtures of another part

Repo = Callable[[Sequence[str]], list[str]]


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        env={**os.environ, **IDENTITY},
        check=True,
        capture_output=True,
        text=True,
        timeout=60 * PACE,
    )
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the repository is."""
    return tmp_path / "repo"


@pytest.fixture
def commits(folder: Path) -> Repo:
    """Makes the repository with a commit for each state; their hashes, oldest first."""

    def make(states: Sequence[str]) -> list[str]:
        folder.mkdir()
        git(folder, "init", "--quiet", "--initial-branch=main")
        hashes = []
        for number, state in enumerate(states):
            (folder / "state").write_text(f"{state}\n")
            (folder / "number").write_text(f"{number}\n")
            git(folder, "add", ".")
            git(folder, "commit", "--quiet", "--message", f"step {number}: {state}")
            hashes.append(git(folder, "rev-parse", "HEAD"))
        return hashes

    return make


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Builds are asked by reading them; the cache is the test's own."""
    monkeypatch.setattr(examine, "_repro", read_answer)
    monkeypatch.setattr(search, "STEP", (sys.executable, "-m", "tests.bisect.quick_step"))
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
