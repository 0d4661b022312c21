"""Binaries by commit: built once with the user's command, and kept in the cache from then on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from harness.bisect.plan import Plan
from harness.bisect.shell import Git, clean_environment, last_line, run_command
from harness.cache import cache_root, cached
from harness.errors import DeadlineExceeded

BINARIES = "bisect/builds"


class NotBuilt(Exception):
    """This commit does not build. The text says how that ended."""


def binary_of(plan: Plan, commit: str, log: Path) -> Path:
    """The commit's binary, from the cache or built in the worktree, which is clean again afterwards.

    The cache knows it by commit, build command and binary. Raises NotBuilt; that is not remembered.
    """
    inputs = json.dumps([commit, plan.build, plan.binary]).encode()
    return cached(
        commit[:12],
        inputs,
        lambda target: _build(plan, commit, log, target),
        root=cache_root() / BINARIES,
    )


def _build(plan: Plan, commit: str, log: Path, target: Path) -> None:
    tree = Path(plan.worktree)
    git = Git(tree)
    if git("rev-parse", "HEAD") != commit:
        git("checkout", "--quiet", "--force", "--detach", commit)
    binary = tree / plan.binary
    binary.unlink(missing_ok=True)  # or the binary of another commit would pass for this one's
    try:
        status = run_command(
            ["sh", "-c", plan.build],
            log=log,
            within=60 * plan.build_minutes,
            doing="the build command",
            cwd=tree,
            environment=clean_environment(),
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
        raise NotBuilt(f"the build command succeeded and left no {plan.binary}")
    shutil.copy2(binary, target)
