"""Writing expectations: what a run shows becomes what is expected of its builds, with somebody's reason."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomlkit

from harness.errors import BadInput
from harness.expected.baseline import (
    Baseline,
    Build,
    Expectation,
    Outcome,
    expectation_for,
    for_vmm,
    is_disagreement,
    key_of,
    known_by,
)
from harness.expected.compare import Kind, judge
from harness.expected.toml_file import write_toml
from harness.record.order import natural
from harness.record.results import JUDGED, Function, Result, Run, Verdict, VmmInfo


def needs_reason(run: Run, baselines: dict[Path, Baseline]) -> bool:
    """Whether accepting this run would expect something new, for which somebody has to say why."""
    return any(_unexpected(run, vmm, for_vmm(baselines, vmm)) for vmm in run.vmms)


def accept(
    run: Run, baselines: dict[Path, Baseline], folder: Path, *, reason: str, link: str = ""
) -> list[Path]:
    """Write or renew one file per VMM of the run. Returns those that changed.

    What still holds keeps its entry, what was repaired loses it, what is new gets one with `reason`.

    Raises BadInput if the run is not fit for it, Unavailable if a file cannot be written.
    """
    _fit(run)
    new: dict[Path, tuple[Baseline | None, Baseline, str]] = {}
    for vmm in run.vmms:
        mine = for_vmm(baselines, vmm)
        if len(mine) > 1:
            files = ", ".join(path.name for path in mine)
            raise BadInput(f"several baselines are about {vmm.name}: {files}; edit them by hand")
        build = _build(run, vmm)
        path, old = next(iter(mine.items()), (folder / _file_name(build), None))
        if path in new:
            raise BadInput(
                f"{path.name} is about both {new[path][2]} and {vmm.name}: name one of them under its [build], "
                "or accept a run of one build"
            )
        new[path] = old, _renewed(run, vmm, old, build, reason, link), vmm.name
    return [path for path, (old, renewed, _) in new.items() if write(path, old, renewed)]


def accept_races(
    runs: Sequence[Run], baselines: dict[Path, Baseline], *, reason: str, link: str = ""
) -> list[Path]:
    """Enter as races the tests that ended otherwise in some of several runs of one build. Returns what files changed.

    What a file knew of a race is kept beside what these runs show; shares are those of these runs. Raises BadInput for
    builds without a baseline, and for runs that are not of the same builds.
    """
    changed = []
    for vmm in runs[0].vmms:
        if any((vmm.name, vmm.kind, vmm.version) not in _names(run) for run in runs):
            raise BadInput(
                f"not all of these runs are of {vmm.name}, {vmm.kind} {vmm.version}: races are one build's"
            )
        mine = for_vmm(baselines, vmm)
        if len(mine) != 1:
            raise BadInput(f"{len(mine)} baselines are about {vmm.name}: accept one run of it first")
        (path, old), *_ = mine.items()
        renewed = msgspec.structs.replace(
            old, expect=_with_races(old.expect, races(runs, vmm.name), reason, link)
        )
        if write(path, old, renewed):
            changed.append(path)
    return changed


def _names(run: Run) -> set[tuple[str, str, str]]:
    return {(vmm.name, vmm.kind, vmm.version) for vmm in run.vmms}


def races(runs: Sequence[Run], vmm: str) -> dict[str, dict[str, float]]:
    """By test, what it was known by in these runs, with shares, for those that ended otherwise in some."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for run in runs:
        for result in run.results:
            if result.vmm == vmm and result.verdict in JUDGED:
                seen[result.test][known_by(result)] += 1
    return {
        test: {outcome: round(count / counts.total(), 2) for outcome, count in counts.most_common()}
        for test, counts in seen.items()
        if len(counts) > 1
    }


def _with_races(
    before: Sequence[Expectation], found: dict[str, dict[str, float]], reason: str, link: str
) -> tuple[Expectation, ...]:
    """Races stand first, for the first that is about a test counts."""
    known = {e.tests: e for e in before if e.verdict is Outcome.RACE}
    for test, outcomes in found.items():
        old = known.get((test,))
        kept = {outcome: 0.0 for outcome in old.outcomes if outcome not in outcomes} if old else {}
        why = old.reason if old else reason
        known[test,] = Expectation((test,), Outcome.RACE, why, link, outcomes=outcomes | kept)
    return (*known.values(), *(e for e in before if e.verdict is not Outcome.RACE))


def _fit(run: Run) -> None:
    if not run.everything_ran:
        raise BadInput("this run cannot be accepted: not everything was run; run the whole suite to its end")
    if errors := [result for result in run.results if result.verdict is Verdict.ERROR]:
        raise BadInput(
            f"this run cannot be accepted: {len(errors)} tests ended in an error, which judges nothing; "
            f"the first is {errors[0].test} on {errors[0].vmm}: {errors[0].reason}"
        )


def _build(run: Run, vmm: VmmInfo) -> Build:
    """What a new baseline is about: the version, and the name too where another build has the same version."""
    twins = [other for other in run.vmms if (other.kind, other.version) == (vmm.kind, vmm.version)]
    return Build(kind=vmm.kind, version=vmm.version, name=vmm.name if len(twins) > 1 else "")


def _file_name(build: Build) -> str:
    words = f"{build.kind}-{build.version}"[:80] + (f"-{build.name}"[:40] if build.name else "")
    return re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-").lower() + ".toml"


def _of(run: Run, vmm: VmmInfo) -> list[Result]:
    return [result for result in run.results if result.vmm == vmm.name]


def _unexpected(run: Run, vmm: VmmInfo, mine: dict[Path, Baseline]) -> list[Result]:
    expectations = [e for baseline in mine.values() for e in baseline.expect]
    found = []
    for result in _of(run, vmm):
        finding = judge(result, expectation_for(expectations, result))
        if finding and finding.kind is not Kind.REPAIRED:
            found.append(result)
    return found


def _renewed(run: Run, vmm: VmmInfo, old: Baseline | None, new: Build, reason: str, link: str) -> Baseline:
    results = _of(run, vmm)
    before = old.expect if old else ()
    kept: dict[int, list[Result]] = defaultdict(list)  # by which entry expects it
    for result in results:
        expected = expectation_for(before, result)
        if expected and judge(result, expected) is None:
            kept[id(expected)].append(result)
    entries = []
    for expected in before:
        covered = [result for result in results if expectation_for(before, result) is expected]
        if covered and len(kept[id(expected)]) == len(covered):
            entries.append(expected)
        else:
            entries += _entries(kept[id(expected)], results, expected.reason, expected.link)
    mine = {Path(): old} if old else {}
    entries += _entries(_unexpected(run, vmm, mine), results, reason, link)
    rows = sorted({row for result in results if result.verdict in JUDGED for row in result.requirements})
    return Baseline(
        schema=1, build=old.build if old else new, requirements=tuple(rows), expect=tuple(entries)
    )


def _entries(
    chosen: Sequence[Result], everything: Iterable[Result], reason: str, link: str
) -> list[Expectation]:
    """One entry per function, outcome and key; a pattern where it is about all variants."""
    variants: dict[Function, set[str]] = defaultdict(set)
    for result in everything:
        variants[result.origin].add(result.test)
    groups: dict[tuple[Function, Outcome, str], set[str]] = defaultdict(set)
    for result in chosen:
        outcome = Outcome.DISAGREE if is_disagreement(result) else Outcome(result.verdict.value)
        groups[result.origin, outcome, key_of(result)].add(result.test)
    found = []
    for (function, verdict, seen), tests in groups.items():
        everywhere = tests == variants[function] and len(tests) > 1
        names = (f"{function}[*]",) if everywhere else tuple(sorted(tests, key=natural))
        found.append(Expectation(names, verdict, reason, link, "" if verdict is Outcome.SKIP else seen))
    return found


def write(path: Path, old: Baseline | None, new: Baseline) -> bool:
    """Write a baseline, keeping the comments of the file's head. Returns whether anything changed."""
    if old == new:
        return False
    document = tomlkit.parse(path.read_text()) if old else tomlkit.document()
    document["schema"] = new.schema
    rows = tomlkit.array()
    rows.extend(new.requirements)
    document["requirements"] = rows.multiline(len(new.requirements) > 4)
    if not old:
        build = tomlkit.table()
        build.update({"kind": new.build.kind, "version": new.build.version})
        if new.build.name:
            build["name"] = new.build.name
        document["build"] = build
    document.pop("expect", None)
    if new.expect:
        document["expect"] = _tables(new.expect)
    write_toml(path, document)
    return True


def _tables(expectations: Iterable[Expectation]) -> Any:
    tables = tomlkit.aot()
    for expectation in expectations:
        table = tomlkit.table()
        tests = tomlkit.array()
        tests.extend(expectation.tests)
        table["tests"] = tests.multiline(len(expectation.tests) > 1)
        table["verdict"] = str(expectation.verdict)
        table["reason"] = expectation.reason
        for key in ("link", "seen"):
            if text := getattr(expectation, key):
                table[key] = text
        if expectation.outcomes:
            outcomes = tomlkit.inline_table()
            outcomes.update(expectation.outcomes)
            table["outcomes"] = outcomes
        tables.append(table)
    return tables
