"""The verdict matrix at the end of a run: rows are tests or requirements, columns are VMMs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.program import called
from harness.record.results import Run, Verdict
from harness.report.as_text import as_text
from harness.report.fold import Cell, Row, rows_by_requirement, rows_by_test

WIDTH = 100
"""Columns of a matrix that is not made for a terminal: it gets pasted into mails and issues."""

WORDS = {
    Verdict.PASS: ("pass", "green"),
    Verdict.FAIL: ("FAIL", "bold red"),
    Verdict.XFAIL: ("xfail", "yellow"),
    Verdict.XPASS: ("XPASS", "bold magenta"),
    Verdict.SKIP: ("skip", "cyan"),
    Verdict.ERROR: ("ERROR", "bold red"),
}
"""Each verdict's word and colour. Capitals mark what somebody has to look at, with and without colour."""

COLUMN = 14
"""The most that a VMM's column may take."""
NOTHING = "—"
"""Shown where nothing was run."""

By = Literal["test", "requirement"]


def matrix_text(
    run: Run, by: By = "test", *, width: int = WIDTH, color: bool = False, whole: bool = True
) -> str:
    """The matrix as text that ends in a newline, at most `width` columns wide; ANSI colours if `color`.

    Without `whole`, rows in which nothing is to be looked at are counted and not shown.
    """
    return as_text([matrix(run, by, whole=whole)], width=width, color=color)


def matrix(run: Run, by: By = "test", *, whole: bool = True) -> RenderableType:
    """The matrix for rich: the table, then the reasons of skips and expected failures, then the sum."""
    rows = rows_by_test(run) if by == "test" else rows_by_requirement(run)
    shown = rows if whole else [row for row in rows if any(_needs_a_look(cell) for cell in row.cells)]
    parts: list[RenderableType] = [_table(run, shown, by)] if shown else []
    if hidden := len(rows) - len(shown):
        parts.append(Text(f"{hidden} rows in which nothing is to be looked at: -v shows them", style="dim"))
    return Group(*parts, *_reasons(run), *_not_run(run), _sum(run))


def _needs_a_look(cell: Cell) -> bool:
    return cell.disagreement or any(verdict.is_bad for verdict, _ in cell.counts)


def _table(run: Run, rows: list[Row], by: By) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", expand=False)
    table.add_column(by, overflow="fold", ratio=1)
    for name in told_apart(run.names(), COLUMN):
        table.add_column(Text(name), justify="center", no_wrap=True)
    group = None
    for row in rows:
        if by == "test" and row.group != group:
            group = row.group
            table.add_row(Text(group, style="dim"))
        indent = "  " if by == "test" else ""
        table.add_row(Text(indent + row.label), *(_shown(cell, len(row.tests), by) for cell in row.cells))
    return table


def told_apart(names: Sequence[str], width: int) -> list[str]:
    """Names cut to a width in their middle, and numbered where that makes two of them the same."""
    cut = [
        name if len(name) <= width else f"{name[: width // 2 - 1]}…{name[-(width - width // 2) :]}"
        for name in names
    ]
    return [
        name if cut.count(name) == 1 else f"{number}…{name[len(str(number)) + 1 :]}"
        for number, name in enumerate(cut, 1)
    ]


def _shown(cell: Cell, tests: int, by: By) -> Text:
    if cell.worst is None:
        return Text(NOTHING, style="dim")
    word, style = WORDS[cell.worst]
    worst = cell.counts[0][1]
    if worst < tests:
        word += f" {worst}/{tests}"
    elif by == "requirement" and tests > 1:
        word += f" {tests}"
    if cell.disagreement:
        word += " ≠"
    return Text(word, style=style)


def _reasons(run: Run) -> list[RenderableType]:
    """Every reason of a skip or an expected failure, with how many tests it stands for and where."""
    found: dict[tuple[Verdict, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for result in run.results:
        if result.verdict in (Verdict.SKIP, Verdict.XFAIL):
            found[result.verdict, result.reason or "no reason given"][result.vmm] += 1
    lines: list[RenderableType] = []
    for (verdict, reason), where in sorted(found.items()):
        word, style = WORDS[verdict]
        spread = ", ".join(f"{name} {number}" for name, number in where.items())
        lines.append(Text.assemble((word, style), f" {spread}: {reason}"))
    return [Text(), *lines] if lines else []


def _not_run(run: Run) -> list[RenderableType]:
    lines: list[RenderableType] = []
    missing = run.selected - len(run.results)
    if missing > 0:
        lines.append(Text(f"NOT RUN: {missing} of {run.selected} selected", style="bold red"))
    if run.deselected:
        lines.append(Text(f"{run.deselected} left out by the options of this run", style="yellow"))
    for lab, number in Counter(result.lab for result in run.results if result.lab).items():
        lines.append(
            Text(
                f"{number} ran in the lab ({lab}), which stays up: {called('lab')} down ends it", style="dim"
            )
        )
    split = sum(result.disagreement for result in run.results)
    if split:
        lines.append(Text(f"≠ witnesses disagree in {split}", style="bold red"))
    return [Text(), *lines] if lines else []


def _sum(run: Run) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
    table.add_column(overflow="ellipsis", no_wrap=True, max_width=24)
    for verdict in Verdict:
        if any(result.verdict is verdict for result in run.results):
            table.add_column(justify="right", no_wrap=True)
    present = [v for v in Verdict if any(result.verdict is v for result in run.results)]
    table.add_row()
    for name in run.names():
        mine = [result.verdict for result in run.results if result.vmm == name]
        shown = [
            Text(f"{mine.count(v)} {WORDS[v][0]}", style=WORDS[v][1] if v in mine else "dim") for v in present
        ]
        table.add_row(Text(name, style="bold"), *shown)
    return table
