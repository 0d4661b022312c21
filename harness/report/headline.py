"""A run in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.expected.causes import Cause, Standing
from harness.record.results import JUDGED, Run, Verdict


def disagreeing_passes(run: Run) -> Counter[str]:
    """How many tests pass on each VMM although witnesses disagree."""
    return Counter(r.vmm for r in run.results if r.verdict is Verdict.PASS and r.disagreement)


def in_one_line(run: Run, found: Sequence[Cause]) -> str:
    """What there is to look at, for people. A run that judged nothing is not a good one."""
    by = Counter(cause.key.standing for cause in found)
    parts = [f"{by[Standing.NEW]} NEW cause{'s' * (by[Standing.NEW] != 1)}"] if by[Standing.NEW] else []
    if uncompared := by[Standing.UNCOMPARED]:
        parts.append(f"{uncompared} cause{'s' * (uncompared != 1)} of failures")
    if by[Standing.KNOWN]:
        parts.append(f"{by[Standing.KNOWN]} known" + ("" if parts else ", nothing new"))
    if errors := sum(result.verdict is Verdict.ERROR for result in run.results):
        parts.append(f"{errors} could not judge")
    if parts:
        return ", ".join(parts)
    if not any(result.verdict in JUDGED for result in run.results):
        return "no test was judged"
    return "nothing to look at" if run.everything_ran else "nothing to look at in what was run"
