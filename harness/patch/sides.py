"""The two builds that are compared: where they come from, and what people call them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.bisect.builds import NotBuilt, Recipe, binary_of
from harness.bisect.shell import Git
from harness.bisect.worktree import repository, worktree
from harness.errors import BadInput, Unavailable
from harness.patch.progress import Progress
from harness.vmm.find import may_be_a_build

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._+-]*)=(.+)", re.DOTALL)


@dataclass(frozen=True)
class Side:
    """One of them."""

    name: str
    """In the matrix."""
    vmm: str
    """A path or a release, as the suite's --vmm takes it; empty where it has been judged already."""
    commit: str = ""
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.commit[:9] or self.vmm}".strip()


def given(option: str, text: str) -> Side:
    """A build that is there: [NAME=]PATH or [NAME=]release:vX.Y. Raises BadInput."""
    match = _NAMED.fullmatch(text)
    name, vmm = (match[1], match[2]) if match else (option, text)
    if not may_be_a_build(vmm):
        raise BadInput(
            f"--{option} {text}: there is no such file; give a VMM's binary or release, or its commit with --repo"
        )
    return Side(name, vmm)


@dataclass(frozen=True)
class Commits:
    """Two commits of a repository and how they are built. `since_fork`: from where head left base."""

    repo: Path
    revisions: Mapping[str, str]
    build: str
    binary: str
    build_minutes: float
    since_fork: bool

    def sides(self, logs: Path, progress: Progress) -> list[Side]:
        """Build both, or take them from the cache. Raises BadInput, Unavailable."""
        git = Git(repository(self.repo))
        commits = {name: git.commit(name, revision) for name, revision in self.revisions.items()}
        if self.since_fork:
            commits["base"] = self._fork(git, commits)
        if len(set(commits.values())) == 1:
            raise BadInput("--base and --head are the same commit: there is nothing to compare")
        subjects = {
            name: git("show", "--no-patch", "--format=%s", commit) for name, commit in commits.items()
        }
        for name, commit in commits.items():
            progress.say(f"{name} is {commit[:9]} “{subjects[name]}”")
        with worktree(self.repo, commits["base"]) as tree:
            recipe = Recipe(
                worktree=str(tree), build=self.build, binary=self.binary, build_minutes=self.build_minutes
            )
            built = {name: _build(recipe, name, commit, logs, progress) for name, commit in commits.items()}
        return [Side(name, str(built[name]), commit, subjects[name]) for name, commit in commits.items()]

    def _fork(self, git: Git, commits: Mapping[str, str]) -> str:
        if not git.says("merge-base", commits["base"], commits["head"]):
            raise BadInput("--since-fork: --base and --head have no history in common")
        return git("merge-base", commits["base"], commits["head"])


def _build(recipe: Recipe, name: str, commit: str, logs: Path, progress: Progress) -> Path:
    log = logs / f"{commit[:12]}.log"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(
            f"cannot write {log} ({error.strerror}): give another folder, --report DIR"
        ) from None
    progress.say(f"building {name}, log in {log}")

    def tell(seconds: float, said: str) -> None:
        progress.say(f"building {name} for {seconds:.0f} s: {said or 'it says nothing'}")

    try:
        binary = binary_of(recipe, commit, log, tell)
    except NotBuilt as error:
        raise BadInput(f"{name} {commit[:9]} cannot be judged: {error}; its log is {log}") from None
    progress.say(f"{name} is built" if log.exists() else f"{name} was built before")
    return binary
