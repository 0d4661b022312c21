"""What stands in the pull request: the verdict, what changed, and the run in short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.expected.compare import Finding, Kind
from harness.gate.announce import WORDS
from harness.gate.command import shown
from harness.patch.sides import Side

LINES = 60
"""Of findings; a comment on GitHub ends at 65,536 characters, and the rest is in gate.txt."""
FENCE = "`" * 4


@dataclass(frozen=True)
class Verdict:
    """How it ended. `why`: what kept it from being judged."""

    code: int
    sides: Sequence[Side] = ()
    findings: Sequence[Finding] = ()
    against: str = ""
    """What was compared, in words."""
    why: str = ""
    run: str = ""
    """The run's own summary, Markdown."""

    @property
    def gate(self) -> str:
        """The findings and the verdict as text, as ci/gate prints them."""
        return (
            f"gate: cannot judge: {self.why}\n" if self.why else shown(self.findings, self.against, self.code)
        )


def summary(verdict: Verdict, seconds: float) -> str:
    """GitHub-flavoured Markdown."""
    return "\n".join(_lines(verdict, seconds)) + "\n"


def _lines(verdict: Verdict, seconds: float) -> Iterator[str]:
    yield f"## virtio-net multiqueue: {WORDS[verdict.code]}"
    yield ""
    for side in verdict.sides:
        yield f"* {side.name}: {_code(side.commit[:9] or side.vmm)} {_code(side.subject)}".rstrip()
    counts = [f"{n} {kind.value}" for kind in Kind if (n := sum(f.kind is kind for f in verdict.findings))]
    yield f"* {', '.join(counts) or 'no difference'}, after {seconds:.0f} s"
    yield ""
    repaired = [finding for finding in verdict.findings if finding.kind is Kind.REPAIRED]
    others = [finding for finding in verdict.findings if finding.kind is not Kind.REPAIRED]
    said = verdict.gate if verdict.why else shown(others, verdict.against, verdict.code)
    yield from _fenced(said)
    if repaired:
        yield f"<details><summary>{len(repaired)} repaired</summary>"
        yield ""
        lines = shown(repaired, verdict.against, verdict.code).splitlines()
        yield from _fenced("\n".join(line for line in lines if not line.startswith("gate: ")))
        yield "</details>"
        yield ""
    if verdict.run:
        yield "<details><summary>The run</summary>"
        yield ""
        yield verdict.run
        yield "</details>"


def _code(text: str) -> str:
    return f"`{text.replace('`', chr(39))}`" if text else ""


def _fenced(text: str) -> Iterator[str]:
    lines = text.strip().replace(FENCE, "").splitlines()
    yield FENCE
    yield from lines[:LINES]
    if len(lines) > LINES:
        yield f"... and {len(lines) - LINES} more lines, in gate.txt"
        yield lines[-1]
    yield FENCE
    yield ""
