"""What changed: a run against what was expected of its builds, or one build against another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from harness.expected.baseline import Baseline, Expectation, expectation_for, for_vmm, masked, stated_reason
from harness.program import called
from harness.record.results import JUDGED, Function, Result, Run, Verdict, VmmInfo


class Kind(Enum):
    """What a finding means for the gate."""

    NEW_FAILURE = "new failure"
    CHANGED = "fails otherwise"
    REPAIRED = "repaired"
    LOST = "not judged"
    PROBLEM = "cannot be compared"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One difference. `test` is empty where it is about a whole build or run."""

    kind: Kind
    vmm: str
    test: str
    text: str
    rerun: str = ""
    origin: Function | None = None
    """The function of which the test is a variant."""


def exit_code(findings: Iterable[Finding], *, changed_matters: bool) -> int:
    """0: as expected. 1: a regression, which is certain whatever else is missing. 2: could not judge."""
    kinds = {finding.kind for finding in findings}
    if Kind.NEW_FAILURE in kinds or (changed_matters and Kind.CHANGED in kinds):
        return 1
    return 2 if kinds & {Kind.LOST, Kind.PROBLEM} else 0


def against_baselines(run: Run, baselines: dict[Path, Baseline], *, part: bool = False) -> list[Finding]:
    """Compare every VMM of a run with the files that are about it; without one, all is expected to pass.

    `part`: the run is a part of the suite on purpose, which is noted. What it does not have is no finding.
    """
    findings = list(missing_parts(run, run.names(), part=part))
    for vmm in run.vmms:
        mine = for_vmm(baselines, vmm)
        if not mine:
            text = "no baseline is about this build: every test is expected to pass"
            findings.append(Finding(Kind.NOTE, vmm.name, "", text))
        findings += _one_vmm(run, vmm, mine, part)
    return findings


def _one_vmm(run: Run, vmm: VmmInfo, baselines: dict[Path, Baseline], part: bool) -> Iterator[Finding]:
    results = [result for result in run.results if result.vmm == vmm.name]
    expectations = [e for baseline in baselines.values() for e in baseline.expect]
    for result in results:
        if finding := judge(result, expectation_for(expectations, result)):
            yield finding
    for path, baseline in baselines.items() if not part else ():
        for expectation in baseline.expect:
            if not any(expectation.covers(result) for result in results):
                text = f"{path.name} names {expectation.tests[0]}, which this run does not have"
                yield Finding(Kind.LOST, vmm.name, "", text)
        judged = {i for result in results if result.verdict in JUDGED for i in result.requirements}
        if lost := [row for row in baseline.requirements if row not in judged]:
            text = f"{len(lost)} requirements were judged before: {', '.join(lost)}"
            yield Finding(Kind.LOST, vmm.name, "", text)


def judge(result: Result, expected: Expectation | None) -> Finding | None:
    """The difference between a result and what was expected of it, if any."""
    verdict = expected.verdict if expected else None
    if result.verdict is Verdict.ERROR:
        return _finding(Kind.LOST, result, "the test could not judge: ")
    if result.verdict is Verdict.SKIP:
        return None if verdict is Verdict.SKIP else _finding(Kind.LOST, result, "skipped: ")
    if _red(result):
        declared = result.verdict is Verdict.XFAIL and expected is None
        if declared or (expected and verdict in (Verdict.FAIL, Verdict.XFAIL) and expected.fits(result)):
            return None
        if expected and verdict in (Verdict.FAIL, Verdict.XFAIL):
            return _finding(Kind.CHANGED, result, f"expected “{expected.seen}”, seen: ")
        return _finding(Kind.NEW_FAILURE, result)
    if result.verdict is Verdict.XPASS or verdict in (Verdict.FAIL, Verdict.XFAIL, Verdict.SKIP):
        was = f"{expected.reason}" if expected else result.reason
        return _about(Kind.REPAIRED, result, f"passes; was: {was}")
    return None


def _red(result: Result) -> bool:
    return result.verdict in (Verdict.FAIL, Verdict.XFAIL) or (
        result.verdict in (Verdict.PASS, Verdict.XPASS) and result.disagreement
    )


def _finding(kind: Kind, result: Result, before: str = "") -> Finding:
    return _about(kind, result, before + stated_reason(result))


def _about(kind: Kind, result: Result, text: str) -> Finding:
    return Finding(kind, result.vmm, result.test, text, result.rerun, result.origin)


def missing_parts(run: Run, names: Sequence[str], *, part: bool = False) -> Iterator[Finding]:
    """What makes a run unfit to be judged by: parts of it are missing, other than on purpose (`part`)."""
    if not run.complete:
        yield Finding(Kind.PROBLEM, "", "", "the run was stopped before its end")
    if run.shard:
        text = f"this is shard {run.shard.number} of {run.shard.of}: put all together with {called('merge')}"
        yield Finding(Kind.PROBLEM, "", "", text)
    if run.deselected:
        kind = Kind.NOTE if part else Kind.PROBLEM
        yield Finding(kind, "", "", f"{run.deselected} tests were left out by the run's options")
    if (missing := run.selected - len(run.results) - len(run.not_run)) > 0:
        yield Finding(Kind.PROBLEM, "", "", f"{missing} selected tests have no result")
    for entry in run.not_run:
        if entry.vmm in names:
            yield Finding(Kind.LOST, entry.vmm, entry.test, "selected and not run", origin=entry.origin)
    for name in names:
        if not any(result.vmm == name for result in run.results):
            yield Finding(Kind.PROBLEM, name, "", "the run has no result for it")


def builds(base: tuple[Run, str], head: tuple[Run, str], *, part: bool = False) -> list[Finding]:
    """Compare two builds, each a run and the VMM's name in it; `vmm` of the findings is the head's.

    `part`: they ran a part of the suite on purpose, which is noted.
    """
    (base_run, base_name), (head_run, head_name) = base, head
    findings = list(missing_parts(base_run, [base_name], part=part))
    if head_run is not base_run:
        findings += missing_parts(head_run, [head_name], part=part)
    else:
        findings += [f for f in missing_parts(head_run, [head_name], part=part) if f.vmm]
    before = {r.test: r for r in base_run.results if r.vmm == base_name}
    after = {r.test: r for r in head_run.results if r.vmm == head_name}
    if before and after and not before.keys() & after.keys():
        text = "the two have no test in common: they are runs of different suites"
        return [*findings, Finding(Kind.PROBLEM, head_name, "", text)]
    return findings + list(_differences(before, after, base_name, head_name))


def _differences(
    before: Mapping[str, Result], after: Mapping[str, Result], base: str, head: str
) -> Iterator[Finding]:
    neither = 0

    def why(result: Result) -> str:
        """The reason without what differs from build to build: their names."""
        return masked(re.sub(rf"\b({re.escape(base)}|{re.escape(head)})\b", "the VMM", stated_reason(result)))

    for test in dict.fromkeys([*before, *after]):
        old, new = before.get(test), after.get(test)
        if new is None:
            origin = old.origin if old else None
            yield Finding(Kind.LOST, head, test, f"{base} has it, {head} has not", origin=origin)
        elif new.verdict is Verdict.SKIP and old and old.verdict is Verdict.SKIP:
            neither += 1
        elif new.verdict not in JUDGED:
            what = "skipped: " if new.verdict is Verdict.SKIP else "the test could not judge: "
            yield _finding(Kind.LOST, new, what)
        elif _red(new):
            if old is None or not (old.verdict in JUDGED and _red(old)):
                yield _finding(Kind.NEW_FAILURE, new)
            elif why(old) != why(new):
                yield _finding(Kind.CHANGED, new, f"“{stated_reason(old)}” became: ")
        elif old and _red(old):
            yield replace(_about(Kind.REPAIRED, new, f"passes; on {base}: {stated_reason(old)}"), rerun="")
    if neither == len(after) > 0:
        yield Finding(Kind.PROBLEM, head, "", f"no test was judged on {head}")
    if neither:
        yield Finding(Kind.NOTE, head, "", f"{neither} tests are skipped on both")
