"""A Markdown summary of a run: for a pull request, or a CI server's summary of a step."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from harness.expected.causes import Cause, causes_of, counted
from harness.record.results import Run, Verdict
from harness.record.runs import how_far
from harness.register.register import Register
from harness.report.coverage import Coverage, cover
from harness.report.headline import disagreeing_passes, in_one_line
from harness.report.history import History
from harness.report.matrix import NOTHING, WORDS
from harness.report.versions import doubts

FAILURES = 40
"""Causes that are listed; a comment on GitHub ends at 65,536 characters."""

_GAP = "&#8203;"
"""A space of no width. GitHub looks for mentions and addresses in what comes out of the markup."""
_ESCAPED = {
    **{each: f"\\{each}" for each in r"\`*_{}[]()#+!|~"},
    **{"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": f"&#64;{_GAP}"},
}
"""A backslash takes its meaning from any punctuation (CommonMark 2.4)."""

_ADDRESS = re.compile(r"https://[A-Za-z0-9./#_-]+")
"""What the baselines name as a link, which is ours."""

_MARKS = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.XFAIL: "🟡",
    Verdict.XPASS: "🟣",
    Verdict.SKIP: "⏭️",
    Verdict.ERROR: "💥",
}


def markdown_summary(
    run: Run, register: Register, history: History | None = None, found: Sequence[Cause] | None = None
) -> str:
    """GitHub-flavoured Markdown: what the failures come from, the counts per VMM, what was not judged.

    `found` are the run's causes; by default those by this checkout's baselines.
    """
    coverage = cover(run, register)
    found = causes_of(run, register) if found is None else found
    parts = [
        _head(run, coverage, found, history or History()),
        _causes(run, found, history or History()),
        _counts(run, coverage),
        _again(found),
        _silent(run),
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(run: Run, coverage: Coverage, found: Sequence[Cause], history: History) -> Iterable[str]:
    yield f"## virtio-net multiqueue: {in_one_line(run, found)}"
    yield ""
    if not run.everything_ran:
        yield f"> **Not everything ran:** {not_everything(run)}"
        yield ""
    for name in run.names():
        yield f"- **{_cell(name)}**: {_cell(counted(run, found, name))}"
    times = f"{_cell(run.started)} to {_cell(run.finished or NOTHING)}"
    for doubt in doubts(run, history):
        yield f"- {_cell(doubt)}"
    yield ""
    yield f"{len(run.results)} results, {coverage.sentence()}, {times}."
    yield ""


def not_everything(run: Run) -> str:
    """Why a run is not the whole suite, in a sentence."""
    reasons = []
    if not run.complete:
        reasons.append(f"the run was stopped before its end, {how_far(run)}")
    if (missing := max(run.selected - len(run.results), len(run.not_run))) > 0:
        reasons.append(f"{missing} of {run.selected} selected tests have no result")
    if run.shard:
        reasons.append(f"it is shard {run.shard.number} of {run.shard.of}")
    if run.narrowed:
        reasons.append("its command line chose a part of the suite")
    if run.deselected:
        reasons.append(f"{run.deselected} tests were left out by its options")
    return "; ".join(reasons) + "."


def _counts(run: Run, coverage: Coverage) -> Iterable[str]:
    disagreeing = disagreeing_passes(run)
    shown = " | ".join(f"{_MARKS[v]} {WORDS[v][0]}" for v in Verdict)
    yield f"| VMM | {shown} | pass, but witnesses disagree ≠ | MUST judged |"
    yield "|---|" + "--:|" * (len(Verdict) + 2)
    versions = {vmm.name: vmm.version for vmm in run.vmms}
    for name in run.names():
        counter = Counter(result.verdict for result in run.results if result.vmm == name)
        counter[Verdict.PASS] -= disagreeing[name]
        numbers = " | ".join(str(counter[v] or "") for v in Verdict) + f" | {disagreeing[name] or ''}"
        judged = f"{coverage.musts_judged_on(name)}/{len(coverage.musts)}"
        yield f"| **{_cell(name)}** {_cell(versions.get(name, ''))} | {numbers} | {judged} |"
    yield ""


def _causes(run: Run, found: Sequence[Cause], history: History) -> Iterable[str]:
    if not found:
        return
    yield "| | VMM | tests | requirement | what is wrong | since |"
    yield "|---|---|--:|---|---|---|"
    for cause in found[:FAILURES]:
        mark = f"**{cause.key.standing.value}**" if cause.new else cause.key.standing.value
        link = f" <{cause.key.link}>" if _ADDRESS.fullmatch(cause.key.link) else ""
        since = str(history.since(cause.clearest)) if history.runs else ""
        cells = [mark, _cell(cause.key.vmm), str(len(cause.results)), _cell(cause.requirement)]
        yield f"| {' | '.join(cells)} | {_cell(cause.text)}{link} | {_cell(since)} |"
    if len(found) > FAILURES:
        yield ""
        yield f"… and {len(found) - FAILURES} more."
    yield ""


def _again(found: Sequence[Cause]) -> Iterable[str]:
    again = [
        " ".join(c.clearest.rerun.replace("```", "").split()) for c in found[:FAILURES] if c.clearest.rerun
    ]
    if again:
        yield "<details><summary>The clearest test of each, to run again</summary>"
        yield ""
        yield "```sh"
        yield from again
        yield "```"
        yield "</details>"
        yield ""


def _silent(run: Run) -> Iterable[str]:
    counter: Counter[tuple[Verdict, str]] = Counter()
    for result in run.results:
        if result.verdict in (Verdict.SKIP, Verdict.XFAIL):
            counter[result.verdict, result.reason or "no reason given"] += 1
    if counter:
        yield "<details><summary>Skipped and expected to fail</summary>"
        yield ""
        for (verdict, reason), number in counter.most_common(FAILURES):
            yield f"- {_MARKS[verdict]} {WORDS[verdict][0]} {number}: {_cell(reason)}"
        yield ""
        yield "</details>"


def _cell(text: str, limit: int = 300) -> str:
    """Text that neither breaks a table nor is taken for markup: no link, image, mention or emphasis."""
    text = " ".join(text.split())
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    text = "".join(_ESCAPED.get(each, each) for each in text)
    return text.replace("://", f":{_GAP}//").replace("www.", f"www{_GAP}.")
