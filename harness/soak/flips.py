"""Verdicts that are not the same in every run, with the share of each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from harness.expected.baseline import Baseline, Outcome, expectation_for, for_vmm, known_by
from harness.expected.quarantine import Quarantined, quarantine_of
from harness.record.results import Result, Run, VmmInfo

NOT_RUN = "not run"


@dataclass(frozen=True)
class Flip:
    """A test that does not end alike each time on a VMM."""

    test: str
    vmm: str
    outcomes: Mapping[str, int]
    """How often each outcome was seen, the commonest first."""
    known: str
    """Why it is known; empty for one that is NEW."""
    expired: str
    """What was known of it until its quarantine ended."""

    @property
    def is_new(self) -> bool:
        """Whether somebody has to look at it."""
        return not self.known

    def __str__(self) -> str:
        runs = sum(self.outcomes.values())
        shares = "; ".join(f"{count} of {runs} {outcome}" for outcome, count in self.outcomes.items())
        return f"{self.test} on {self.vmm}: {shares}\n    {self.known or self.expired or 'NEW'}"


class Flips:
    """Collects the outcomes of runs."""

    def __init__(
        self, baselines: Mapping[Path, Baseline], quarantine: Sequence[Quarantined], today: date
    ) -> None:
        self._baselines = dict(baselines)
        self._quarantine = quarantine
        self._today = today
        self._outcomes = defaultdict[tuple[str, str], Counter[str]](Counter)
        self._shown = defaultdict[tuple[str, str], dict[str, Result]](dict)
        """A result of each outcome."""
        self._vmms: dict[str, VmmInfo] = {}
        self._runs = 0

    def add(self, run: Run) -> None:
        """Enter a run."""
        self._runs += 1
        self._vmms |= {vmm.name: vmm for vmm in run.vmms}
        for result in run.results:
            self._outcomes[result.test, result.vmm][known_by(result)] += 1
            self._shown[result.test, result.vmm][known_by(result)] = result

    def flips(self) -> list[Flip]:
        """Those by now, NEW ones first. A test that a run did not come to flipped too."""
        found = []
        for (test, vmm), outcomes in sorted(self._outcomes.items()):
            counted = outcomes + Counter({NOT_RUN: self._runs - outcomes.total()})
            if len(counted) > 1:
                found.append(Flip(test, vmm, dict(counted.most_common()), *self._known(test, vmm, counted)))
        return sorted(found, key=lambda flip: not flip.is_new)

    def _known(self, test: str, vmm: str, outcomes: Mapping[str, int]) -> tuple[str, str]:
        """Why a flip is known, and why it was."""
        shown = list(self._shown[test, vmm].values())
        for baseline in for_vmm(self._baselines, self._vmms[vmm]).values():
            race = expectation_for(baseline.expect, shown[0])
            if race is None or race.verdict is not Outcome.RACE or NOT_RUN in outcomes:
                continue
            if all(race.fits(result) for result in shown):
                return f"a race of this build: {race.reason}", ""
        entry = quarantine_of(test, self._quarantine)
        if entry is None:
            return "", ""
        words = entry.words(self._today)
        return (words, "") if self._today <= entry.expires else ("", f"NEW: {words}")
