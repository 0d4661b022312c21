"""What a run on the builds before and after a fix says of the suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from harness.history.bugs import Bug
from harness.record.results import Result, Run, Verdict

BEFORE, AFTER = "before", "after"
"""The columns of the run."""


class Outcome(StrEnum):
    """How the suite fared."""

    CAUGHT = "caught"
    MISSED = "missed"
    UNKNOWN = "unknown"
    """Not built, or none of the named tests could be judged on both builds."""


@dataclass(frozen=True)
class Measured:
    """A bug, how the suite fared, and the evidence: by test, the first line of what was seen before the fix."""

    bug: Bug
    outcome: Outcome
    why: str = ""
    caught_by: Mapping[str, str] = field(default_factory=dict)
    also_mended: tuple[str, ...] = ()
    """Other tests that are red before and green after."""
    broken: tuple[str, ...] = ()
    """Tests that are green before and red after."""


def names(pattern: str, result: Result) -> bool:
    """Whether a pattern of the table, file::function or a whole id, means this result's test."""
    return result.test == pattern or result.test.partition("[")[0] == pattern


def measure(bug: Bug, run: Run) -> Measured:
    """Compare the two columns of a run."""
    sides: dict[str, dict[str, Result]] = {BEFORE: {}, AFTER: {}}
    for result in run.results:
        sides.get(result.vmm, {})[result.test] = result
    both = [(sides[BEFORE][test], sides[AFTER][test]) for test in sides[BEFORE].keys() & sides[AFTER].keys()]
    judged = [(old, new) for old, new in both if {old.verdict, new.verdict} <= {Verdict.PASS, Verdict.FAIL}]
    mended = sorted(
        (old for old, new in judged if (old.verdict, new.verdict) == (Verdict.FAIL, Verdict.PASS)), key=_id
    )
    broken = sorted(
        old.test for old, new in judged if (old.verdict, new.verdict) == (Verdict.PASS, Verdict.FAIL)
    )
    named = [old for old, _ in judged if any(names(pattern, old) for pattern in bug.tests)]
    caught = {old.test: _first_line(old) for old in mended if old in named}
    also = tuple(old.test for old in mended if old not in named)
    if caught:
        return Measured(bug, Outcome.CAUGHT, caught_by=caught, also_mended=also, broken=tuple(broken))
    if not named:
        return Measured(bug, Outcome.UNKNOWN, _unjudged(bug, both), also_mended=also, broken=tuple(broken))
    red = sum(old.verdict is Verdict.FAIL for old in named)
    why = f"of {len(named)} named tests {red} fail before the fix, and none of those passes after it"
    return Measured(bug, Outcome.MISSED, why, also_mended=also, broken=tuple(broken))


def _unjudged(bug: Bug, both: list[tuple[Result, Result]]) -> str:
    for old, new in both:
        if any(names(pattern, old) for pattern in bug.tests):
            here = old if old.verdict in (Verdict.SKIP, Verdict.ERROR) else new
            return f"{here.test} could not be judged: {_first_line(here)}"
    return "none of the named tests ran"


def _id(result: Result) -> str:
    return result.test


def _first_line(result: Result) -> str:
    return (result.reason.splitlines() or [""])[0][:160]
