"""Binaries by commit: built once with the user's command, and kept in the cache from then on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec

from harness.bisect.shell import Git, Tell, clean_environment, last_line, run_command
from harness.cache import cache_root, cached
from harness.errors import DeadlineExceeded

BINARIES = "bisect/builds"


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a commit becomes a binary."""

    worktree: str
    build: str
    """A shell command, run at the top of the worktree."""
    binary: str
    """What it makes, relative to the worktree unless absolute."""
    build_minutes: float


class NotBuilt(Exception):
    """This commit does not build. The text says how that ended."""


def binary_of(recipe: Recipe, commit: str, log: Path, tell: Tell | None = None) -> Path:
    """The commit's binary, from the cache or built in the worktree, which is clean again afterwards.

    The cache knows it by commit, build command and binary. Raises NotBuilt; that is not remembered. `tell` is told
    of a build that goes on; there is no `log` where there was none.
    """
    inputs = json.dumps([commit, recipe.build, recipe.binary]).encode()
    return cached(
        commit[:12],
        inputs,
        lambda target: _build(recipe, commit, log, target, tell),
        root=cache_root() / BINARIES,
    )


def _build(recipe: Recipe, commit: str, log: Path, target: Path, tell: Tell | None) -> None:
    tree = Path(recipe.worktree)
    git = Git(tree)
    if git("rev-parse", "HEAD") != commit:
        git("checkout", "--quiet", "--force", "--detach", commit)
    binary = tree / recipe.binary
    binary.unlink(missing_ok=True)  # or the binary of another commit would pass for this one's
    try:
        status = run_command(
            ["sh", "-c", recipe.build],
            log=log,
            within=60 * recipe.build_minutes,
            doing="the build command",
            cwd=tree,
            environment=clean_environment(),
            tell=tell,
        )
    except DeadlineExceeded as error:
        raise NotBuilt(str(error)) from None
    finally:
        git(
            "reset", "--quiet", "--hard"
        )  # builds change lock files, and git would refuse to leave the commit
    if status:
        raise NotBuilt(f"the build command ended with {status}: {last_line(log) or 'it said nothing'}")
    if not binary.is_file():
        raise NotBuilt(f"the build command succeeded and left no {recipe.binary}")
    shutil.copy2(binary, target)
