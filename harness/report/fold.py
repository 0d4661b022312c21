"""Rows of the matrix: variants of a test that agree on every VMM share a row, the others get their own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.record.order import natural
from harness.record.results import Case, Function, Result, Run, Verdict


@dataclass(frozen=True)
class Cell:
    """All verdicts behind one cell, worst first."""

    counts: tuple[tuple[Verdict, int], ...] = ()
    disagreement: bool = False

    @property
    def worst(self) -> Verdict | None:
        """The verdict that the cell shows; None where nothing was run."""
        return self.counts[0][0] if self.counts else None

    @property
    def total(self) -> int:
        """How many tests are behind it."""
        return sum(number for _, number in self.counts)


@dataclass(frozen=True)
class Row:
    """One row: `group` is its heading (a file, a group of requirements), `cells` one per VMM in order."""

    group: str
    label: str
    tests: tuple[str, ...]
    cells: tuple[Cell, ...]
    origin: Function | None = None
    """The tests' function, where it is a row of one."""


_SEVERITY = (Verdict.ERROR, Verdict.FAIL, Verdict.XPASS, Verdict.SKIP, Verdict.XFAIL, Verdict.PASS)


def cell_of(results: Iterable[Result]) -> Cell:
    """The cell that stands for these results."""
    results = list(results)
    counter = Counter(result.verdict for result in results)
    counts = tuple((verdict, counter[verdict]) for verdict in _SEVERITY if counter[verdict])
    return Cell(counts, any(result.disagreement for result in results))


def cases_of(run: Run) -> dict[str, Case]:
    """What a run is about, by test: what it judged, and what it did not come to."""
    return {case.test: case for case in (*run.not_run, *run.results)}


def rows_by_test(run: Run) -> list[Row]:
    """Rows by test function, in the order of the ids; variants folded where all VMMs agree on them."""
    names = run.names()
    found: dict[str, dict[str, Result]] = defaultdict(dict)
    for result in run.results:
        found[result.test][result.vmm] = result
    cases = cases_of(run)
    functions: dict[Function, list[Case]] = defaultdict(list)
    for test in sorted(cases, key=natural):
        functions[cases[test].origin].append(cases[test])
    rows: list[Row] = []
    for origin, variants in functions.items():
        groups: dict[tuple[object, ...], list[Case]] = defaultdict(list)
        for case in variants:
            groups[_pattern(found[case.test], names)].append(case)
        for members in groups.values():
            tests = tuple(case.test for case in members)
            cells = tuple(cell_of(found[t][n] for t in tests if n in found[t]) for n in names)
            rows.append(Row(origin.file, _label(origin.name, variants, members), tests, cells, origin))
    return rows


def _pattern(by_vmm: dict[str, Result], names: Sequence[str]) -> tuple[object, ...]:
    seen = (by_vmm.get(name) for name in names)
    return tuple((result.verdict, result.disagreement) if result else None for result in seen)


def _label(function: str, variants: Sequence[Case], members: Sequence[Case]) -> str:
    if len(variants) == 1:
        return function
    if len(variants) == len(members):
        return f"{function} ({len(variants)})"
    return f"{function} [{_distinction(variants, members)}]"


def _distinction(variants: Sequence[Case], members: Sequence[Case]) -> str:
    """What the members have that the other variants have not, as `driver=probe pairs=1,2`."""
    every, own = ([case.parameters for case in cases] for cases in (variants, members))
    if any(parameters.keys() != every[0].keys() for parameters in every):
        return _listed([case.variant[1:-1] for case in members])
    columns = [(name, {p[name] for p in every}, {p[name] for p in own}) for name in every[0]]
    # The columns describe the members only if no other variant has the same combination.
    inside = [p for p in every if all(p[name] in mine for name, _, mine in columns)]
    if len(inside) == len(own):
        shown = ((name, sorted(mine, key=natural)) for name, whole, mine in columns if whole != mine)
        return " ".join(f"{name}={','.join(words)}" for name, words in shown)
    differing = [name for name, whole, _ in columns if len(whole) > 1]
    return _listed(["-".join(p[name] for name in differing) for p in own])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def rows_by_requirement(run: Run) -> list[Row]:
    """Rows by requirement id, grouped by the id without its number; a test counts in each of its rows."""
    names = run.names()
    found: dict[str, list[Result]] = defaultdict(list)
    for result in run.results:
        for requirement in result.requirements:
            found[requirement].append(result)
    rows: list[Row] = []
    for requirement in sorted(found):
        results = found[requirement]
        cells = tuple(cell_of(result for result in results if result.vmm == name) for name in names)
        tests = tuple(sorted({result.test for result in results}))
        rows.append(Row(requirement.rpartition("-")[0] or requirement, requirement, tests, cells))
    return rows
