"""Rows of the matrix: variants of a test that agree on every VMM share a row, the others get their own."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.record.results import Result, Run, Verdict

_HYPHENATED = ("vhost-user", "cloud-hypervisor")
"""Parameter ids with a hyphen of their own; everywhere else a hyphen separates two parameters."""


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


_SEVERITY = (Verdict.ERROR, Verdict.FAIL, Verdict.XPASS, Verdict.SKIP, Verdict.XFAIL, Verdict.PASS)


def cell_of(results: Iterable[Result]) -> Cell:
    """The cell that stands for these results."""
    results = list(results)
    counter = Counter(result.verdict for result in results)
    counts = tuple((verdict, counter[verdict]) for verdict in _SEVERITY if counter[verdict])
    return Cell(counts, any(result.disagreement for result in results))


def split_id(test: str) -> tuple[str, str, tuple[str, ...]]:
    """(file, function, parameters) of a test id: "a.py", "T::f", ("x", "y") for `a.py::T::f[x-y]`."""
    head, bracket, tail = test.partition("[")
    file, _, function = head.partition("::")
    if not bracket:
        return file, function or file, ()
    text = tail.removesuffix("]")
    for number, word in enumerate(_HYPHENATED):
        text = text.replace(word, f"\0{number}\0")
    parts = [re.sub(r"\0(\d)\0", lambda m: _HYPHENATED[int(m[1])], part) for part in text.split("-")]
    return file, function or file, tuple(parts)


def natural(test: str) -> list[tuple[int, str]]:
    """A sorting key under which `pairs2` comes before `pairs10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", test)]


def rows_by_test(run: Run) -> list[Row]:
    """Rows by test function, in the order of the ids; variants folded where all VMMs agree on them."""
    names = run.names()
    found: dict[str, dict[str, Result]] = defaultdict(dict)
    for result in run.results:
        found[result.test][result.vmm] = result
    for missing in run.not_run:
        found.setdefault(missing.test, {})
    functions: dict[tuple[str, str], list[str]] = defaultdict(list)
    for test in sorted(found, key=natural):
        file, function, _ = split_id(test)
        functions[file, function].append(test)
    rows: list[Row] = []
    for (file, function), tests in functions.items():
        groups: dict[tuple[object, ...], list[str]] = defaultdict(list)
        for test in tests:
            groups[_pattern(found[test], names)].append(test)
        for members in groups.values():
            cells = tuple(cell_of(found[t][n] for t in members if n in found[t]) for n in names)
            rows.append(Row(file, _label(function, tests, members), tuple(members), cells))
    return rows


def _pattern(by_vmm: dict[str, Result], names: Sequence[str]) -> tuple[object, ...]:
    seen = (by_vmm.get(name) for name in names)
    return tuple((result.verdict, result.disagreement) if result else None for result in seen)


def _label(function: str, tests: Sequence[str], members: Sequence[str]) -> str:
    if len(tests) == 1:
        return function
    if len(tests) == len(members):
        return f"{function} ({len(tests)})"
    return f"{function} [{_variants(tests, members)}]"


def _variants(tests: Sequence[str], members: Sequence[str]) -> str:
    """What the members have that the other variants have not, as `pairs=3` or `probe pairs=1,2`."""
    every, own = ([split_id(test)[2] for test in which] for which in (tests, members))
    if len({len(parameters) for parameters in every}) == 1:
        columns = [({p[i] for p in every}, {p[i] for p in own}) for i in range(len(every[0]))]
        # The columns describe the members only if no other variant has the same combination.
        inside = [p for p in every if all(v in mine for v, (_, mine) in zip(p, columns, strict=True))]
        if len(inside) == len(own):
            return " ".join(_values(mine) for whole, mine in columns if whole != mine)
    names = ["-".join(parameters) for parameters in own]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _values(values: set[str]) -> str:
    matches = {value: re.fullmatch(r"([a-z_]+?)=?(\d+)", value) for value in values}
    stems = {match[1] for match in matches.values() if match}
    if all(matches.values()) and len(stems) == 1:
        numbers = sorted(int(match[2]) for match in matches.values() if match)
        return f"{stems.pop()}={','.join(map(str, numbers))}"
    return ",".join(sorted(values))


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
