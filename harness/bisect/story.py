"""The end of a bisection as text: the commit, and what the build before it and its own show."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.bisect.examine import REPORT, TEXT
from harness.bisect.plan import Finding, Plan
from harness.bisect.search import Found
from harness.bisect.shell import Git
from harness.errors import BadInput
from harness.record.results import Run, load
from harness.report.matrix import matrix_text


def story(plan: Plan, found: Found) -> str:
    """What was found out, for people."""
    git = Git(Path(plan.worktree))
    word = "bad" if plan.find == "broken" else "fixed"
    if found.first is None or found.before is None:
        names = [git("show", "--no-patch", "--format=%h %s", commit) for commit in found.candidates]
        listed = "\n".join(f"    {name}" for name in names)
        return f"the first {word} commit is one of these, of which some cannot be judged:\n{listed}\n"
    author = git("show", "--no-patch", "--format=    %an, %ad%n    %s", "--date=short", found.first.commit)
    evidence = _texts(plan, found) if plan.issue else _matrix(plan, found.before, found.first)
    return f"first {word} commit: {found.first.commit}\n{author}\n\n{evidence}evidence: {plan.folder}\n"


def _texts(plan: Plan, found: Found) -> str:
    parts = []
    for title, end in (("before", found.before), ("after", found.first)):
        if end is not None:
            file = Path(plan.folder) / end.commit[:12] / TEXT
            text = file.read_text(errors="replace") if file.exists() else end.reason + "\n"
            parts.append(f"--- {title}: {end.short} {end.subject}\n{text}\n")
    return "".join(parts)


def _matrix(plan: Plan, before: Finding, after: Finding) -> str:
    runs = [run for end in (before, after) if (run := _run(plan, end)) is not None]
    joined = msgspec.structs.replace(
        runs[-1],
        vmms=tuple(vmm for run in runs for vmm in run.vmms),
        results=tuple(result for run in runs for result in run.results),
        selected=sum(run.selected for run in runs),
    )
    return f"before: {before.line()}\nafter:  {after.line()}\n\n{matrix_text(joined)}\n"


def _run(plan: Plan, end: Finding) -> Run | None:
    """The results of a commit; None where it was never run."""
    try:
        return load(Path(plan.folder) / end.commit[:12] / REPORT)
    except BadInput:
        return None
