"""What the failures of a run come from: those of one defect are one cause, and what is new comes first.

A build that a baseline is about has known causes: the baseline's reasons. What it does not know is new. Failures of a
build that no baseline is about, and new ones, are put together by what they have in common: the issue that they
reproduce, how the VMM died, which witnesses contradict each other, else requirement and reason.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from harness.expected.baseline import (
    FOLDER,
    Baseline,
    Expectation,
    expectation_for,
    for_vmm,
    key_of,
    load_about,
    masked,
    stated_reason,
)
from harness.expected.compare import Kind, judge
from harness.record.order import natural
from harness.record.results import PairRow, Result, Run, Verdict, VmmInfo
from harness.register.register import Force, Register


class Standing(Enum):
    """Whether a cause is expected of its build."""

    NEW = "NEW"
    KNOWN = "known"
    UNCOMPARED = "no baseline"
    """No baseline is about the build: nobody can say."""


@dataclass(frozen=True)
class Key:
    """What the results of one cause share."""

    vmm: str
    standing: Standing
    text: str
    link: str = ""


@dataclass(frozen=True)
class Cause:
    """One defect of one build, as far as can be told: the results that show it, the clearest first."""

    key: Key
    results: tuple[Result, ...]
    requirement: str
    """The row of the register that most of them prove, rather one that asks for something; empty if they name none."""

    @property
    def clearest(self) -> Result:
        """The shortest of the tests that fail over it."""
        return self.results[0]

    @property
    def new(self) -> bool:
        """Whether a baseline is about the build, and does not know it."""
        return self.key.standing is Standing.NEW

    @property
    def text(self) -> str:
        """What is wrong: the baseline's reason, or what the clearest failure says."""
        return self.key.text if self.key.standing is Standing.KNOWN else what_it_says(self.clearest)

    @property
    def failed(self) -> int:
        """How many of the tests failed; the others passed while their witnesses disagree."""
        return sum(result.verdict.is_bad for result in self.results)


class Expected:
    """What is expected of the builds of a run."""

    def __init__(self, baselines: dict[Path, Baseline], vmms: Iterable[VmmInfo]) -> None:
        self._of: dict[str, tuple[Expectation, ...] | None] = {}
        for vmm in vmms:
            mine = for_vmm(baselines, vmm)
            entries = (entry for baseline in mine.values() for entry in baseline.expect)
            self._of[vmm.name] = tuple(entries) if mine else None

    def knows(self, vmm: str) -> bool:
        """Whether a baseline is about this build."""
        return self._of.get(vmm) is not None

    def cause_of(self, result: Result) -> Key | None:
        """What a result belongs to; None if nobody has to look at it, or if it could not judge."""
        if not result.needs_a_look or result.verdict in (Verdict.ERROR, Verdict.SKIP):
            return None
        entries = self._of.get(result.vmm)
        if entries is None:
            return Key(result.vmm, Standing.UNCOMPARED, _in_common(result))
        entry = expectation_for(entries, result)
        finding = judge(result, entry)
        if finding is None and entry is not None:
            return Key(result.vmm, Standing.KNOWN, entry.reason, entry.link)
        if finding is not None and finding.kind is Kind.REPAIRED:
            return None
        return Key(result.vmm, Standing.NEW, _in_common(result))


def causes(run: Run, expected: Expected, register: Register) -> list[Cause]:
    """Those of a run: new before known, failures before disagreeing passes, MUST before SHOULD, larger first."""
    found: dict[Key, list[Result]] = defaultdict(list)
    for result in run.results:
        if (key := expected.cause_of(result)) is not None:
            found[key].append(result)
    made = [
        Cause(key, tuple(sorted(results, key=_clarity)), _requirement(results, register))
        for key, results in found.items()
    ]
    order = list(Standing)
    return sorted(
        made,
        key=lambda cause: (
            order.index(cause.key.standing),
            not cause.failed,
            _rank(cause.requirement, register),
            -len(cause.results),
        ),
    )


def causes_of(run: Run, register: Register, folder: Path = FOLDER) -> list[Cause]:
    """Those of a run by the baselines of a folder."""
    return causes(run, Expected(load_about(folder, run.vmms), run.vmms), register)


def counted(run: Run, found: Sequence[Cause], vmm: str) -> str:
    """One VMM's failures and what they come from, in a line: `285 fail = 12 known causes, 0 NEW`."""
    verdicts = Counter(result.verdict for result in run.results if result.vmm == vmm)
    mine = [cause for cause in found if cause.key.vmm == vmm]
    bad = verdicts[Verdict.FAIL] + verdicts[Verdict.XPASS]
    disagreeing = sum(len(cause.results) - cause.failed for cause in mine)
    told = [f"{bad} fail"] if bad else []
    told += [f"{disagreeing} pass although witnesses disagree"] if disagreeing else []
    by = Counter(cause.key.standing for cause in mine)
    if by[Standing.UNCOMPARED]:
        comes = [
            f"{_causes(by[Standing.UNCOMPARED])}; no baseline is about this build, so none is called known or new"
        ]
    else:
        comes = [_causes(by[Standing.KNOWN], "known ")] if by[Standing.KNOWN] else []
        comes += [f"{by[Standing.NEW]} NEW"]
    what = f"{', '.join(told)} = {', '.join(comes)}" if told else "nothing fails"
    unjudged = [
        f"{verdicts[v]} {word}"
        for v, word in ((Verdict.ERROR, "could not judge"), (Verdict.SKIP, "skipped"))
        if verdicts[v]
    ]
    return "; ".join([what, *unjudged, f"{verdicts[Verdict.PASS] - disagreeing} pass"])


def _causes(number: int, what: str = "") -> str:
    return f"{number} {what}cause{'s' * (number != 1)}"


def what_it_says(result: Result) -> str:
    """What its witnesses say where they disagree, and its reason, without Python's ways of writing sets."""
    text = re.sub(r"frozenset\((\{[^{}]*\})?\)", lambda match: match[1] or "{}", result.reason)
    text = re.sub(r"<(\w+\.\w+): [^<>]*>", r"\1", text)
    return " · ".join(part for part in (contradiction(result.witnesses), text) if part) or stated_reason(
        result
    )


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


def _in_common(result: Result) -> str:
    """What failures of one defect have in common, without what differs from test to test."""
    if result.issues:
        return f"issue {' and '.join(result.issues)}"
    if died := re.match(r".*? died \([^)]*\)", result.reason):
        return masked(died[0]).replace(result.vmm, "the VMM")
    if kind := _disagreement(result.witnesses):
        return kind
    return f"{' '.join(result.requirements[:1])} {key_of(result)}"


def _disagreement(rows: Sequence[PairRow]) -> str:
    """Which witnesses contradict each other, and in which direction; empty where they agree."""
    if not contradiction(rows):
        return ""
    guest = {row.pair for row in rows if row.guest}
    host = {row.pair for row in rows if row.host}
    frames = {row.pair for row in rows if row.frames}
    parts = ["the host holds more pairs than the guest was told"] if host - guest else []
    parts += ["the host holds fewer pairs than the guest was told"] if guest - host else []
    parts += ["frames land on pairs that the guest was not told of"] if frames - guest else []
    return ", ".join(parts)


def _clarity(result: Result) -> tuple[object, ...]:
    """Failures before disagreeing passes, short timelines before long ones."""
    return (not result.verdict.is_bad, len(result.timeline), result.seconds, natural(result.test))


def _requirement(results: Sequence[Result], register: Register) -> str:
    numbers = Counter(row for result in results for row in result.requirements)
    return min(numbers, key=lambda row: (asks_nothing(row, register), -numbers[row], row), default="")


def asks_nothing(row: str, register: Register) -> bool:
    """Whether a row only describes, so that another one says better what a test asks for."""
    return row not in register.rows or register.rows[row].force is Force.DESCRIPTIVE


def _rank(row: str, register: Register) -> int:
    order = list(Force)
    return order.index(register.rows[row].force) if row in register.rows else len(order)
