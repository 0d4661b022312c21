"""What broke, as a list that fits on a screen: one entry per test function, the newest and gravest first."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.expected.baseline import masked
from harness.record.order import natural
from harness.record.results import JUDGED, Function, PairRow, Result, Run, Verdict
from harness.register.register import Force, Register
from harness.report.fold import Cell, cell_of
from harness.report.history import History, Since


@dataclass(frozen=True)
class Headline:
    """One test function that somebody has to look at."""

    name: str
    first: Result
    """The failure that is shown for it: what is new before what is known, what failed before what disagrees."""
    cells: tuple[Cell, ...]
    """All variants of the test, one cell per VMM in the run's order."""
    since: tuple[tuple[str, Since], ...]
    """VMMs and since when it is red on them; those that agree are named together."""
    other_reasons: int
    """How many reasons other than that of `first` its failures show."""
    new: bool
    """Whether any of it was green in the run before."""
    bad: bool
    """Whether anything failed; otherwise tests passed while witnesses disagree."""
    on: Mapping[str, Result]
    """The first failure on each VMM that has one."""

    @property
    def words(self) -> str:
        """The test's name, for people: what should be so."""
        return self.name.removeprefix("test_").replace("_", " ")

    @property
    def reason(self) -> str:
        """What its witnesses say where they disagree, and its reason, without Python's ways of writing sets."""
        text = re.sub(r"frozenset\((\{[^{}]*\})?\)", lambda match: match[1] or "{}", self.first.reason)
        text = re.sub(r"<(\w+\.\w+): [^<>]*>", r"\1", text)
        seen = contradiction(self.first.witnesses)
        return " · ".join(part for part in (seen, text) if part)


def contradiction(rows: Sequence[PairRow]) -> str:
    """What the witnesses of one NIC say of its pairs, in words; empty where they agree, and for several NICs."""
    if len({row.pair for row in rows}) < len(rows):
        return ""
    guest = [row.pair for row in rows if row.guest]
    host = [row.pair for row in rows if row.host]
    frames = [row.pair for row in rows if row.frames]
    told = any(row.host is not None for row in rows)
    if not rows or (set(frames) <= set(guest) and (not told or host == guest)):
        return ""
    parts = [f"guest told {_named(guest)}"]
    parts += [f"host holds {_named(host)}"] if told else []
    parts += [f"frames on {_named(frames)}"] if frames else []
    return ", ".join(parts)


def _named(pairs: Sequence[int]) -> str:
    if not pairs:
        return "no pair"
    if len(pairs) > 2 and list(pairs) == list(range(pairs[0], pairs[-1] + 1)):
        return f"pairs {pairs[0]} to {pairs[-1]}"
    return f"pair{'s' * (len(pairs) > 1)} {', '.join(map(str, pairs))}"


def headlines(run: Run, register: Register, history: History) -> list[Headline]:
    """Those of a run: new before known, failed before disagreeing, MUST before SHOULD, then in the suite's order."""
    results: dict[Function, list[Result]] = defaultdict(list)
    for result in run.results:
        results[result.origin].append(result)
    shown = [
        _headline(origin.name, mine, run.names(), history)
        for origin, mine in results.items()
        if any(result.needs_a_look for result in mine)
    ]
    return sorted(
        shown,
        key=lambda line: (not line.new, not line.bad, _rank(line.first, register), natural(line.first.test)),
    )


def _headline(name: str, results: Sequence[Result], vmms: Sequence[str], history: History) -> Headline:
    ages = [(result, history.since(result)) for result in results if result.needs_a_look]
    ages.sort(
        key=lambda pair: (
            not pair[1].new,
            not pair[0].verdict.is_bad,
            natural(pair[0].test),
            vmms.index(pair[0].vmm),
        )
    )
    newest: dict[str, Since] = {}
    on: dict[str, Result] = {}
    for result, since in ages:
        on.setdefault(result.vmm, result)
        if result.vmm not in newest or since.runs < newest[result.vmm].runs:
            newest[result.vmm] = since
    grouped: dict[Since, list[str]] = defaultdict(list)
    for vmm in vmms:
        if vmm in newest:
            grouped[newest[vmm]].append(vmm)
    first = ages[0][0]
    reasons = {masked(result.reason) for result, _ in ages if result.reason}
    return Headline(
        name=name,
        first=first,
        cells=tuple(cell_of(result for result in results if result.vmm == vmm) for vmm in vmms),
        since=tuple((", ".join(names), since) for since, names in grouped.items()),
        other_reasons=len(reasons - {masked(first.reason)}),
        new=any(since.new for _, since in ages),
        bad=any(result.verdict.is_bad for result, _ in ages),
        on=on,
    )


def _rank(result: Result, register: Register) -> int:
    order = list(Force)
    ranks = [order.index(register.rows[row].force) for row in result.requirements if row in register.rows]
    return min(ranks, default=len(order))


def disagreeing_passes(run: Run) -> Counter[str]:
    """How many tests pass on each VMM although witnesses disagree."""
    return Counter(r.vmm for r in run.results if r.verdict is Verdict.PASS and r.disagreement)


def in_one_line(run: Run, lines: Sequence[Headline]) -> str:
    """How many there are, for people. A run that judged nothing is not a good one."""
    if not lines:
        judged = any(result.verdict in JUDGED for result in run.results)
        if not judged:
            return "no test was judged"
        return "nothing to look at" if run.everything_ran else "nothing to look at in what was run"
    bad = sum(line.bad for line in lines)
    parts = [f"{bad} test{' fails' if bad == 1 else 's fail'}"] if bad else []
    if disagreeing := len(lines) - bad:
        passes = "passes" if disagreeing == 1 else "pass"
        parts.append(f"{disagreeing} {passes} although witnesses disagree")
    if new := sum(line.new for line in lines):
        parts.append("all of that new" if new == len(lines) else f"{new} of them new")
    return ", ".join(parts)
