"""The search itself: both ends are judged first, then `git bisect run` halves what is between them."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bisect.examine import ASK_SECONDS, examine
from harness.bisect.plan import Find, Finding, Plan
from harness.bisect.shell import Git, environment_for_git, last_line, run_command
from harness.errors import BadInput

TERMS: dict[Find, tuple[str, str]] = {"broken": ("good", "bad"), "fixed": ("broken", "fixed")}
"""git's words for the old and the new state."""
_CANDIDATE = re.compile(r"^# possible first \S+ commit: \[([0-9a-f]+)\]", re.MULTILINE)
GIT_LOG = "git.log"
STEP = (sys.executable, "-m", "harness.bisect.step")


@dataclass(frozen=True)
class Found:
    """The first new commit with the one before it, or those that it may be, where too many were skipped."""

    first: Finding | None
    before: Finding | None = None
    candidates: Sequence[str] = ()


def check_order(git: Git, good: str, bad: str, find: Find) -> None:
    """Raise BadInput if the ends are the wrong way round for what is looked for."""
    if good == bad:
        raise BadInput("--good and --bad are the same commit")
    old, new = (good, bad) if find == "broken" else (bad, good)
    if git.says("merge-base", "--is-ancestor", new, old):
        other = "--find fixed looks for a repair" if find == "broken" else "--find broken looks for a break"
        raise BadInput(f"the {'bad' if find == 'broken' else 'good'} commit is the older one: {other}")
    if not git.says("merge-base", old, new):
        raise BadInput("--good and --bad have no history in common")


def check_ends(plan: Plan, good: str, bad: str) -> None:
    """Judge both ends, say so, and raise BadInput if there is nothing to find between them."""
    found = {}
    for name, commit in (("good", good), ("bad", bad)):
        found[name] = examine(plan, commit)
        print(f"  {found[name].line()}", file=sys.stderr, flush=True)
    outcomes = {name: end.outcome for name, end in found.items()}
    if "unknown" in outcomes.values():
        name = next(name for name, outcome in outcomes.items() if outcome == "unknown")
        end = found[name]
        raise BadInput(f"the --{name} end, {end.short}, cannot be judged ({end.reason}): take another commit")
    if outcomes == {"good": "bad", "bad": "good"}:
        raise BadInput("the --good end is bad and the --bad end is good: exchange them, and see --find")
    if outcomes["good"] == outcomes["bad"]:
        raise BadInput(f"both ends are {outcomes['good']}: there is nothing to find between them")


def search(plan: Plan, good: str, bad: str) -> Found:
    """Let git halve the history between the ends, both of which are judged already."""
    git = Git(Path(plan.worktree))
    old, new = TERMS[plan.find]
    old_end, new_end = (good, bad) if plan.find == "broken" else (bad, good)
    between = int(git("rev-list", "--count", f"{old_end}..{new_end}"))
    print(f"  {between} commits, about {between.bit_length()} to build", file=sys.stderr, flush=True)
    git("bisect", "start", f"--term-old={old}", f"--term-new={new}")
    git("bisect", new, new_end)
    git("bisect", old, old_end)
    log = Path(plan.folder) / GIT_LOG
    status = run_command(
        git.command("bisect", "run", *STEP, str(plan.save())),
        log=log,
        within=(between + 1) * (60 * plan.build_minutes + 2 * ASK_SECONDS),
        doing="git bisect run",
        cwd=Path(plan.worktree),
        environment=environment_for_git(),
        for_git=True,
    )
    if candidates := _CANDIDATE.findall(git("bisect", "log")):
        return Found(None, candidates=candidates)
    if status:
        raise BadInput(
            f"git bisect came to no end (exit status {status}): {last_line(log)}; all of it is in {log}"
        )
    first = git("rev-parse", f"refs/bisect/{new}")
    return Found(examine(plan, first), examine(plan, git("rev-parse", f"{first}^")))
