"""How much of the register a run has judged: which rows, by which tests, on which VMM."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from harness.record.results import JUDGED, Result, Run
from harness.register.register import Force, Register, Requirement
from harness.report.fold import Cell, cell_of


@dataclass(frozen=True)
class CoveredRow:
    """A row of the register with what the run found: one cell per VMM in the run's order."""

    row: Requirement
    cells: tuple[Cell, ...]
    results: tuple[Result, ...]

    @property
    def judged(self) -> bool:
        """Whether a test has judged it on any VMM."""
        return any(result.verdict in JUDGED for result in self.results)

    @property
    def uncovered_must(self) -> bool:
        """A MUST that can be tested and was not judged."""
        return self.row.force is Force.MUST and not self.row.not_tested and not self.judged


@dataclass(frozen=True)
class Coverage:
    """The whole register against a run; `unknown` are ids that results name and the register lacks."""

    rows: tuple[CoveredRow, ...]
    unknown: tuple[str, ...]

    @property
    def musts(self) -> list[CoveredRow]:
        """MUST rows without a reason for not being tested."""
        return [r for r in self.rows if r.row.force is Force.MUST and not r.row.not_tested]

    @property
    def musts_judged(self) -> int:
        """How many of them were judged."""
        return sum(row.judged for row in self.musts)

    @property
    def musts_excused(self) -> int:
        """MUST rows that say why no test can prove them."""
        return sum(row.row.force is Force.MUST and bool(row.row.not_tested) for row in self.rows)

    def musts_judged_on(self, vmm: str) -> int:
        """MUST rows with a verdict on one VMM."""
        return sum(any(x.vmm == vmm and x.verdict in JUDGED for x in row.results) for row in self.musts)

    def sentence(self) -> str:
        """The number, for people."""
        text = f"{self.musts_judged} of {len(self.musts)} MUST rows judged"
        return text + (f", {self.musts_excused} more say why not" if self.musts_excused else "")


def cover(run: Run, register: Register) -> Coverage:
    """Match a run with the register."""
    named: dict[str, list[Result]] = defaultdict(list)
    for result in run.results:
        for requirement in result.requirements:
            named[requirement].append(result)
    names = run.names()
    rows = []
    for row in register.rows.values():
        results = named.pop(row.id, [])
        cells = tuple(cell_of(result for result in results if result.vmm == name) for name in names)
        rows.append(CoveredRow(row, cells, tuple(results)))
    return Coverage(tuple(rows), tuple(sorted(named)))
