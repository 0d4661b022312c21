"""The builds before and after a fix: made in a worktree, by the builder and cache of ci/bisect, or in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from harness.bisect.builds import Recipe, binary_of
from harness.bisect.shell import Git
from harness.errors import BadInput

Binary = Callable[[str], Path]
"""The binary of a commit. Raises NotBuilt, or BadInput where there is none."""
SHORT = 7
"""Fewer characters do not name a commit."""


def from_folder(folder: Path, git: Git | None) -> Binary:
    """Binaries that lie in `folder`, by commit: each a file, or a folder with the binary in it.

    `git` resolves revisions, where there is a repository: without it a fix's parent has no name.
    """

    def find(revision: str) -> Path:
        commit = git.commit("commit", revision) if git is not None else revision
        for entry in sorted(folder.iterdir()):
            if len(entry.name) >= SHORT and (commit.startswith(entry.name) or entry.name.startswith(commit)):
                found = [entry] if entry.is_file() else sorted(entry.glob("cloud-hypervisor"))
                if found and os.access(found[0], os.X_OK):
                    return found[0]
        raise BadInput(f"--builds {folder} has no build of {revision}")

    return find


def from_repository(recipe: Recipe, git: Git, logs: Path) -> Binary:
    """Binaries that are built when they are asked for, and kept."""

    def build(revision: str) -> Path:
        commit = git.commit("commit", revision)
        return binary_of(recipe, commit, logs / f"{commit[:12]}.log")

    return build
