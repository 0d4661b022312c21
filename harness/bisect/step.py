"""What `git bisect run` calls at each commit: python -m harness.bisect.step PLAN.

It answers with an exit status: 0 old, 1 new, 125 skip, and 255, which makes git stop, if nothing can go on.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

from harness.bisect.examine import examine
from harness.bisect.plan import Finding, Plan
from harness.bisect.shell import Git

OLD, NEW, SKIP, STOP = 0, 1, 125, 255


def answer(plan: Plan, found: Finding) -> int:
    """The exit status for git: the broken ones are new where a break is looked for, and old where a fix is."""
    if found.outcome == "unknown":
        return SKIP
    return NEW if (found.outcome == "bad") == (plan.find == "broken") else OLD


def _stop(number: int, _: FrameType | None) -> None:
    sys.exit(STOP)


def main(file: Path) -> int:
    """Examine the commit that is checked out."""
    signal.signal(signal.SIGTERM, _stop)  # an exception: what this process runs is ended too
    try:
        plan = Plan.load(file)
        found = examine(plan, Git(Path(plan.worktree))("rev-parse", "HEAD"))
    except Exception as error:  # any other exit status would be taken for an answer
        print(f"  {error or type(error).__name__}", file=sys.stderr)
        return STOP
    print(f"  {found.line()}", file=sys.stderr, flush=True)
    return answer(plan, found)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
