"""A deadline that passes in the lab: the machine is some fifty times slower than a real one, and may be the reason.

It is evidence against the VMM only if it passes again in a machine that has just started, with nothing beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import pytest

from harness.errors import DeadlineExceeded, Unavailable
from harness.evidence.collect import ATTRIBUTE
from harness.record.results import Result, Verdict, from_dict, to_dict

MOST_AFRESH = 3
"""Machines that one process has started anew for this: each takes a minute or more from everybody."""
KEYS = ("late", "silence")
"""How the keys of failures begin that a deadline found."""


def found_by_a_deadline(reports: Sequence[pytest.TestReport]) -> Result | None:
    """The failure among these reports that a deadline found; None without one."""
    for report in reports:
        if (plain := getattr(report, ATTRIBUTE, None)) is not None:
            result = from_dict(plain)
            if result.verdict is Verdict.FAIL and result.key.startswith(KEYS):
                return result
    return None


class Afresh:
    """Asks once more, in a machine that has just started, what a deadline found. `run` runs a test there."""

    def __init__(self, run: Callable[[pytest.Item], list[pytest.TestReport]]) -> None:
        self._run = run
        self._left = MOST_AFRESH

    def confirmed(self, item: pytest.Item, reports: list[pytest.TestReport]) -> list[pytest.TestReport]:
        """The reports of a test as they are to stand: those given, the failure an error unless it was seen again."""
        first = found_by_a_deadline(reports)
        if first is None:
            return reports
        second = self._seen_afresh(item, first)
        if not second:
            return reports
        for report in reports:
            if (
                getattr(report, ATTRIBUTE, None) is not None
                and from_dict(getattr(report, ATTRIBUTE)) == first
            ):
                reason = f"in the lab, which may have been the reason: {first.reason}; {second}"
                changed = msgspec.structs.replace(first, verdict=Verdict.ERROR, key="", reason=reason)
                setattr(report, ATTRIBUTE, to_dict(changed))
                report.longrepr = f"{reason}\n{report.longreprtext}"
        return reports

    def _seen_afresh(self, item: pytest.Item, first: Result) -> str:
        """What was seen in a fresh machine, in words; empty if it was the same again."""
        if not self._left:
            return f"it was not asked again in a machine that has just started, as {MOST_AFRESH} others were"
        self._left -= 1
        try:
            again = self._run(item)
        except (Unavailable, DeadlineExceeded) as error:
            return f"in a machine that had just started: {str(error).splitlines()[0]}"
        found = found_by_a_deadline(again)
        if found is not None and found.key == first.key:
            return ""
        others = [
            from_dict(plain) for report in again if (plain := getattr(report, ATTRIBUTE, None)) is not None
        ]
        bad = next((result for result in others if result.verdict.is_bad), None)
        return f"in a machine that had just started: {bad.reason if bad else 'it passed'}"
