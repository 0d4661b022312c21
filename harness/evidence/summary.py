"""A Markdown summary of a run: for a pull request, or a CI server's summary of a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from harness.evidence.coverage import Coverage
from harness.evidence.matrix import NOTHING, WORDS
from harness.evidence.results import Result, Run, Verdict

FAILURES = 40
"""Failures that are listed; a comment on GitHub ends at 65,536 characters."""

_MARKS = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.XFAIL: "🟡",
    Verdict.XPASS: "🟣",
    Verdict.SKIP: "⏭️",
    Verdict.ERROR: "💥",
}


def markdown_summary(run: Run, coverage: Coverage) -> str:
    """GitHub-flavoured Markdown: what was run, the counts per VMM, the failures, what was not judged."""
    parts = [_head(run, coverage), _counts(run, coverage), _failures(run), _silent(run)]
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(run: Run, coverage: Coverage) -> Iterable[str]:
    bad = [result for result in run.results if result.needs_a_look]
    yield f"## virtio-net multiqueue: {f'{len(bad)} to look at' if bad else 'nothing to look at'}"
    yield ""
    if not run.everything_ran:
        yield f"> **Not everything ran:** {not_everything(run)}"
        yield ""
    yield f"{len(run.results)} results, {coverage.sentence()}, {run.started} to {run.finished or NOTHING}."
    yield ""


def not_everything(run: Run) -> str:
    """Why a run is not the whole suite, in a sentence."""
    reasons = []
    if not run.complete:
        reasons.append("the run was stopped before its end")
    if (missing := max(run.selected - len(run.results), len(run.not_run))) > 0:
        reasons.append(f"{missing} of {run.selected} selected tests have no result")
    if run.shard:
        reasons.append(f"it is shard {run.shard.number} of {run.shard.of}")
    if run.deselected:
        reasons.append(f"{run.deselected} tests were left out by its options")
    return "; ".join(reasons) + "."


def _counts(run: Run, coverage: Coverage) -> Iterable[str]:
    yield "| VMM | " + " | ".join(f"{_MARKS[v]} {WORDS[v][0]}" for v in Verdict) + " | MUST judged |"
    yield "|---|" + "--:|" * (len(Verdict) + 1)
    versions = {vmm.name: vmm.version for vmm in run.vmms}
    for name in run.names():
        counter = Counter(result.verdict for result in run.results if result.vmm == name)
        numbers = " | ".join(str(counter[v] or "") for v in Verdict)
        judged = f"{coverage.musts_judged_on(name)}/{len(coverage.musts)}"
        yield f"| **{_cell(name)}** {_cell(versions.get(name, ''))} | {numbers} | {judged} |"
    yield ""


def _failures(run: Run) -> Iterable[str]:
    bad = [result for result in run.results if result.needs_a_look]
    if not bad:
        return
    yield "| verdict | VMM | test | requirements | reason |"
    yield "|---|---|---|---|---|"
    for result in bad[:FAILURES]:
        yield _failure(result)
    if len(bad) > FAILURES:
        yield ""
        yield f"… and {len(bad) - FAILURES} more."
    yield ""
    yield "<details><summary>Run the first one again</summary>"
    yield ""
    yield "```sh"
    yield next((result.rerun for result in bad if result.rerun), "# no line recorded").replace("```", "")
    yield "```"
    yield "</details>"
    yield ""


def _failure(result: Result) -> str:
    mark = f"{_MARKS[result.verdict]} {WORDS[result.verdict][0]}"
    if result.disagreement:
        mark += " ≠ witnesses disagree"
    ids = " ".join(result.requirements)
    return f"| {mark} | {_cell(result.vmm)} | {_code(result.test)} | {ids} | {_cell(result.reason)} |"


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
    """Text that neither breaks a table nor is taken for markup."""
    text = " ".join(text.split())
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    for old, new in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("|", "\\|"),
        ("`", "\\`"),
        ("@", "&#64;"),
    ):
        text = text.replace(old, new)
    return text


def _code(text: str) -> str:
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"
