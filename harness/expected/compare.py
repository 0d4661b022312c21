"""What changed: a run against what was expected of its builds, or one build against another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from harness.expected.baseline import (
    Baseline,
    Expectation,
    Outcome,
    expectation_for,
    for_vmm,
    is_disagreement,
    is_red,
    key_of,
    stated_reason,
)
from harness.program import called
from harness.record.results import JUDGED, Function, Result, Run, Verdict, VmmInfo
from harness.record.runs import how_far


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
    rows: tuple[str, ...] = ()
    """Requirements that were judged before, where the finding is about them."""


def exit_code(findings: Iterable[Finding], *, changed_matters: bool) -> int:
    """0: as expected. 1: a regression, which is certain whatever else is missing. 2: could not judge."""
    kinds = {finding.kind for finding in findings}
    if Kind.NEW_FAILURE in kinds or (changed_matters and Kind.CHANGED in kinds):
        return 1
    return 2 if kinds & {Kind.LOST, Kind.PROBLEM} else 0


def against_baselines(run: Run, baselines: dict[Path, Baseline], *, part: bool = False) -> list[Finding]:
    """Compare every VMM of a run with the files that are about it; without one, it cannot be judged.

    `part`: the run is a part of the suite on purpose, which is noted. What it does not have is no finding.
    """
    findings = list(missing_parts(run, run.names(), part=part))
    for vmm in run.vmms:
        mine = for_vmm(baselines, vmm)
        if mine:
            findings += _one_vmm(run, vmm, mine, part)
        else:
            text = (
                f"no baseline is about {vmm.kind} {vmm.version}: compare it with another build (--base, --head), "
                "or make this run its baseline (--accept)"
            )
            findings.append(Finding(Kind.PROBLEM, vmm.name, "", text))
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
            yield Finding(Kind.LOST, vmm.name, "", text, rows=tuple(lost))


def judge(result: Result, expected: Expectation | None) -> Finding | None:
    """The difference between a result and what was expected of it, if any."""
    outcome = expected.verdict if expected else Outcome.PASS
    if result.verdict is Verdict.ERROR:
        return _finding(Kind.LOST, result, "the test could not judge: ")
    if result.verdict is Verdict.SKIP:
        return None if outcome is Outcome.SKIP else _finding(Kind.LOST, result, "skipped: ")
    if expected and outcome is Outcome.RACE:
        if expected.fits(result):
            return None
        seen = ", ".join(expected.outcomes)
        return (
            _finding(Kind.NEW_FAILURE, result, f"none of the outcomes seen before ({seen}): ")
            if is_red(result)
            else None
        )
    if is_disagreement(result):
        return _judge_disagreement(result, expected, outcome)
    if result.verdict in (Verdict.FAIL, Verdict.XFAIL):
        return _judge_failure(result, expected, outcome)
    if result.verdict is Verdict.XPASS or outcome is not Outcome.PASS:
        was = f"{expected.reason}" if expected else result.reason
        return _about(Kind.REPAIRED, result, f"passes; was: {was}")
    return None


def _judge_failure(result: Result, expected: Expectation | None, outcome: Outcome) -> Finding | None:
    if expected is None and result.verdict is Verdict.XFAIL:  # the test declares it itself
        return None
    if expected is None or outcome not in (Outcome.FAIL, Outcome.XFAIL):
        before = "passed with witnesses that disagree: " if outcome is Outcome.DISAGREE else ""
        return _finding(Kind.NEW_FAILURE, result, before)
    return None if expected.fits(result) else _otherwise(result, expected)


def _judge_disagreement(result: Result, expected: Expectation | None, outcome: Outcome) -> Finding | None:
    """A pass whose witnesses contradict each other: where it was expected to fail, it is no repair either."""
    if expected is None or outcome in (Outcome.PASS, Outcome.SKIP):
        return _finding(Kind.NEW_FAILURE, result)
    if outcome is Outcome.DISAGREE and expected.fits(result):
        return None
    return _otherwise(result, expected)


def _otherwise(result: Result, expected: Expectation) -> Finding:
    return _finding(Kind.CHANGED, result, f"expected “{expected.seen or expected.verdict}”, seen: ")


def _finding(kind: Kind, result: Result, before: str = "") -> Finding:
    return _about(kind, result, before + stated_reason(result))


def _about(kind: Kind, result: Result, text: str) -> Finding:
    return Finding(kind, result.vmm, result.test, text, result.rerun, result.origin)


def missing_parts(run: Run, names: Sequence[str], *, part: bool = False) -> Iterator[Finding]:
    """What makes a run unfit to be judged by: parts of it are missing, other than on purpose (`part`)."""
    if not run.complete:
        yield Finding(Kind.PROBLEM, "", "", f"the run was stopped before its end: {how_far(run)}")
    if run.shard:
        text = f"this is shard {run.shard.number} of {run.shard.of}: put all together with {called('merge')}"
        yield Finding(Kind.PROBLEM, "", "", text)
    if run.deselected:
        kind = Kind.NOTE if part else Kind.PROBLEM
        yield Finding(kind, "", "", f"{run.deselected} tests were left out by the run's options")
    if run.narrowed:
        kind = Kind.NOTE if part else Kind.PROBLEM
        yield Finding(kind, "", "", "the run is about a part of the suite, which its command line chose")
    if (missing := run.selected - len(run.results) - len(run.not_run)) > 0:
        yield Finding(Kind.PROBLEM, "", "", f"{missing} selected tests have no result")
    for entry in run.not_run:
        if entry.vmm in names:
            yield Finding(Kind.LOST, entry.vmm, entry.test, "selected and not run", origin=entry.origin)
    for name in names:
        if not any(result.vmm == name for result in run.results):
            yield Finding(Kind.PROBLEM, name, "", "the run has no result for it")


def builds(
    base: tuple[Run, str],
    head: tuple[Run, str],
    *,
    baselines: Mapping[Path, Baseline] = {},
    part: bool = False,
) -> list[Finding]:
    """Compare two builds, each a run and the VMM's name in it; `vmm` of the findings is the head's.

    `baselines` say which tests are races on builds like these: what was seen of them before is no difference.
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
    races = [e for b in baselines.values() for e in b.expect if e.verdict is Outcome.RACE]
    return findings + list(_differences(before, after, base_name, head_name, races))


def _differences(
    before: Mapping[str, Result],
    after: Mapping[str, Result],
    base: str,
    head: str,
    races: Sequence[Expectation],
) -> Iterator[Finding]:
    neither = 0

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
        elif any(race.covers(new) and race.fits(new) for race in races):
            continue
        elif is_red(new):
            if old is None or not (old.verdict in JUDGED and is_red(old)):
                yield _finding(Kind.NEW_FAILURE, new)
            elif is_disagreement(old) and not is_disagreement(new):
                yield _finding(Kind.NEW_FAILURE, new, f"passed on {base} with witnesses that disagree: ")
            elif key_of(old) != key_of(new):
                yield _finding(Kind.CHANGED, new, f"“{stated_reason(old)}” became: ")
        elif old and is_red(old):
            yield replace(_about(Kind.REPAIRED, new, f"passes; on {base}: {stated_reason(old)}"), rerun="")
    if neither == len(after) > 0:
        yield Finding(Kind.PROBLEM, head, "", f"no test was judged on {head}")
    if neither:
        yield Finding(Kind.NOTE, head, "", f"{neither} tests are skipped on both")
