"""ci/release, in a small repository with what it changes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.checkout import ROOT
from harness.deadline import PACE
from harness.version import VERSION
from tests.bisect.conftest import IDENTITY, git

NEW = "99.0.1"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """What a release changes, with a setup and a builder that do nothing."""
    for name in ("ci/release", "harness/version.py", "docs/pull-requests.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n* A change.\n\n## 0.0.1\n\n* Old.\n"
    )
    for name, text in (("ci/setup", ""), (".venv/bin/python", 'mkdir dist; echo "$@" > dist/words')):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".gitignore").write_text("/.venv/\n/dist/\n")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "all")
    return tmp_path


def release(repo: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(repo / "ci/release"), *words],
        env={**os.environ, **IDENTITY},
        capture_output=True,
        text=True,
        timeout=60 * PACE,
        check=False,
    )


def test_a_release_is_a_commit_a_tag_and_a_wheel(repo: Path) -> None:
    done = release(repo, NEW)
    assert done.returncode == 0, done.stderr
    assert git(repo, "status", "--porcelain") == ""
    assert git(repo, "cat-file", "-t", f"v{NEW}") == "tag"
    assert git(repo, "rev-parse", f"v{NEW}^{{commit}}") == git(repo, "rev-parse", "HEAD")
    assert f'VERSION = "{NEW}"' in (repo / "harness/version.py").read_text()
    assert re.search(
        rf"^## {NEW} . [0-9-]+\n\n\* A change\.", (repo / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    page = (repo / "docs/pull-requests.md").read_text()
    assert f"OWNER/NAME@v{NEW}" in page
    assert f"ref: v{NEW}" in page
    assert "actions/checkout@v4" in page
    assert f"v{VERSION}" not in page
    assert "--target wheel" in (repo / "dist/words").read_text()


@pytest.mark.parametrize(
    ("version", "spoil", "said"),
    [
        ("1.2", "", "is no version"),
        ("0.0.1", "", f"is older than {VERSION}"),
        (NEW, "echo x >> CHANGELOG.md", "the tree has changes"),
        (NEW, f"git tag v{NEW}", "is released already"),
        (NEW, "sed -i '/A change/d' CHANGELOG.md && git commit -qam x", "nothing under"),
    ],
)
def test_what_is_no_release_is_refused_and_changes_nothing(
    repo: Path, version: str, spoil: str, said: str
) -> None:
    subprocess.run(
        ["sh", "-c", spoil], cwd=repo, env={**os.environ, **IDENTITY}, check=True, timeout=60 * PACE
    )
    before = git(repo, "rev-parse", "HEAD"), git(repo, "tag"), (repo / "harness/version.py").read_text()
    done = release(repo, version)
    assert done.returncode == 1
    assert said in done.stderr
    assert before == (
        git(repo, "rev-parse", "HEAD"),
        git(repo, "tag"),
        (repo / "harness/version.py").read_text(),
    )
