"""A worktree of the user's repository to build in: theirs stays as it is, whatever they have checked out."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.bisect.shell import Git
from harness.cache import cache_root
from harness.deadline import wait_until
from harness.errors import BadInput, DeadlineExceeded, HarnessError, Owner, Unavailable
from harness.file_lock import try_lock

WORKTREES = "bisect/worktrees"
LOCK_PATIENCE = 2.0
"""Seconds in which what a killed bisection had started ends."""


def repository(folder: Path) -> Path:
    """The git folder that a repository and its worktrees share. Raises BadInput if there is no repository."""
    if not folder.is_dir():
        raise BadInput(f"--repo {folder}: there is no such folder")
    try:
        shared = Git(folder)("rev-parse", "--path-format=absolute", "--git-common-dir")
    except BadInput as error:
        raise BadInput(f"--repo {folder}: {error}") from None
    return Path(shared)


@contextmanager
def worktree(repo: Path, commit: str) -> Iterator[Path]:
    """A worktree at `commit`, removed at the end, together with what git remembers of it.

    It has the same path each time, so that incremental builds into a folder outside of it stay valid. git keeps
    HEAD and the state of a bisection per worktree (git-worktree(1)): a bisection of the user's own goes on.

    Raises Unavailable if another process bisects this repository now.
    """
    shared = repository(repo)
    name = f"{shared.parent.name}-{hashlib.sha256(str(shared).encode()).hexdigest()[:8]}"
    tree = cache_root() / WORKTREES / name
    git = Git(shared)
    with _lock(tree.with_name(f"{name}.lock"), repo):
        _remove(git, tree)  # left over from a process that was killed
        git("worktree", "add", "--quiet", "--force", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            _remove(git, tree)


@contextmanager
def _lock(file: Path, repo: Path) -> Iterator[None]:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise Unavailable(
            f"cannot write the cache {file.parent} ({error.strerror}): set XDG_CACHE_HOME to a writable folder"
        ) from None

    try:
        try:
            wait_until(
                "another bisection to end",
                lambda: try_lock(lock),
                owed_by=Owner.HOST,
                within=LOCK_PATIENCE,
            )
        except DeadlineExceeded:
            raise Unavailable(f"{repo} is being bisected by another process: wait for its end") from None
        os.set_inheritable(lock, True)  # held by git and its steps too, should they outlive this process
        yield
    finally:
        os.close(lock)


def _remove(git: Git, tree: Path) -> None:
    try:
        git("worktree", "remove", "--force", "--force", str(tree))
    except HarnessError:  # git knows of none there, or the folder is damaged
        shutil.rmtree(tree, ignore_errors=True)
