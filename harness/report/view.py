"""What the HTML report shows of a run, made ready for its templates, within a size that opens at once."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.expected.baseline import masked, stated_reason
from harness.expected.causes import Cause, causes_of, counted
from harness.record.order import natural
from harness.record.results import Event, Function, PairRow, Result, Run, Verdict, bundle_folder
from harness.register.register import Register
from harness.report.coverage import Coverage, CoveredRow, cover
from harness.report.fold import Row, cases_of, rows_by_test
from harness.report.headline import disagreeing_passes, in_one_line
from harness.report.history import History
from harness.report.logs import Capture, LogText, bundle_captures, bundle_logs
from harness.report.plot import frames_plot
from harness.report.summary import not_everything
from harness.report.versions import doubts

EVIDENCE_BYTES = 3_500_000
"""What plots, timelines, details and logs may take together; the rest of a report is far smaller."""

PLOTS = 60
"""Plots at most: more would make the page slow to open."""

TIMELINE_LINES = 200

START_LINES = 5
"""A timeline whose beginning is longer shows it on request."""


@dataclass
class Failure:
    """A section of the report: one result that somebody has to look at."""

    anchor: str
    result: Result
    file: str
    label: str
    pairs: Sequence[PairRow] = ()
    plot: str = ""
    start: Sequence[Event] = ()
    """The timeline until the guest speaks for the first time, where that is long."""
    timeline: Sequence[Event | str] = ()
    since: str = ""
    moments: str = "[]"
    """What is known of the pairs at each time, as JSON: time, source, count or null, pair or null, frames or null."""
    others: Sequence[tuple[Result, str]] = ()
    """The same test on other VMMs, each with the anchor of its section or nothing."""
    details: str = ""
    logs: Sequence[LogText] = ()
    captures: Sequence[Capture] = ()
    bundle: str = ""
    left_out: list[str] = field(default_factory=list)

    @property
    def bare(self) -> bool:
        """Whether there was no room for any evidence."""
        shown = (self.pairs, self.plot, self.timeline, self.details, self.logs, self.captures)
        return bool(self.left_out) and not any(shown)


@dataclass(frozen=True)
class Variant:
    """A test with its parameters: its results in the VMMs' order, and the number of its folded row."""

    name: str
    results: Sequence[Result | None]
    fold: int


@dataclass(frozen=True)
class FunctionRows:
    """A test function in the matrix: its folded rows and the results behind each variant."""

    file: str
    name: str
    folded: Sequence[Row]
    variants: Sequence[Variant]
    requirements: Sequence[str]


@dataclass(frozen=True)
class View:
    """Everything that the templates read."""

    names: Sequence[str]
    versions: dict[str, str]
    command: str
    title: str
    incomplete: str
    coverage: Coverage
    uncovered: Sequence[CoveredRow]
    causes: Sequence[Cause]
    counted: dict[str, str]
    """Each VMM's failures and what they come from, in a line."""
    errors: Sequence[tuple[str, Sequence[Result]]]
    """What could not be judged, by its reason."""
    doubts: Sequence[str]
    """Sentences on versions that may be stale."""
    history: History
    functions: Sequence[FunctionRows]
    failures: Sequence[Failure]
    anchors: dict[tuple[str, str], str]
    counts: dict[str, Counter[Verdict]]
    disagreeing: Counter[str]
    """Of the passes, those in which witnesses disagree, by VMM."""
    reasons: Sequence[tuple[Verdict, str, str]]
    behind: dict[str, Sequence[Row]]


def make_view(
    run: Run,
    register: Register,
    history: History,
    results_file: Path | None = None,
    output: Path | None = None,
) -> View:
    """`results_file` is where the run was read from, for its bundles; `output` where the report goes, for links."""
    coverage = cover(run, register)
    found = causes_of(run, register)
    failures = _failures(run, history)
    _fill(failures, run, results_file, output)
    anchors = {(f.result.test, f.result.vmm): f.anchor for f in failures}
    _note_others(failures, run, anchors)
    counts = {name: Counter(r.verdict for r in run.results if r.vmm == name) for name in run.names()}
    behind = {row.row.id: _behind(run, row.results) for row in coverage.rows if row.results}
    return View(
        names=run.names(),
        versions={vmm.name: vmm.version for vmm in run.vmms},
        command=shlex.join(run.command),
        title=in_one_line(run, found),
        incomplete="" if run.everything_ran else not_everything(run),
        coverage=coverage,
        uncovered=[row for row in coverage.rows if row.uncovered_must],
        causes=found,
        counted={name: counted(run, found, name) for name in run.names()},
        errors=_errors(run),
        doubts=tuple(doubts(run, history)),
        history=history,
        functions=_functions(run),
        failures=failures,
        anchors=anchors,
        counts=counts,
        disagreeing=disagreeing_passes(run),
        reasons=_reasons(run),
        behind=behind,
    )


def _errors(run: Run) -> list[tuple[str, Sequence[Result]]]:
    found: dict[str, list[Result]] = defaultdict(list)
    for result in run.results:
        if result.verdict is Verdict.ERROR:
            found[masked(stated_reason(result))].append(result)
    return [(stated_reason(results[0]), results) for results in found.values()]


def _behind(run: Run, results: Sequence[Result]) -> Sequence[Row]:
    return rows_by_test(Run(vmms=run.vmms, results=tuple(results)))


def _functions(run: Run) -> list[FunctionRows]:
    names, cases = run.names(), cases_of(run)
    found: dict[str, dict[str, Result]] = defaultdict(dict)
    for result in run.results:
        found[result.test][result.vmm] = result
    folded: dict[Function, list[Row]] = defaultdict(list)
    for row in rows_by_test(run):
        assert row.origin is not None
        folded[row.origin].append(row)
    functions = []
    for (file, name), rows in folded.items():
        tests = sorted((test for row in rows for test in row.tests), key=natural)
        folds = {test: number for number, row in enumerate(rows) for test in row.tests}
        variants = [
            Variant(
                cases[test].variant or cases[test].function,
                [found[test].get(vmm) for vmm in names],
                folds[test],
            )
            for test in tests
        ]
        requirements = sorted({i for test in tests for r in found[test].values() for i in r.requirements})
        functions.append(FunctionRows(file, name, rows, variants, requirements))
    return functions


def _failures(run: Run, history: History) -> list[Failure]:
    names = run.names()
    shown = [r for r in run.results if r.needs_a_look]
    shown.sort(key=lambda result: (natural(result.test), names.index(result.vmm)))
    return [
        Failure(
            anchor=f"f{number}",
            result=result,
            file=result.file,
            label=f"{result.function}{result.variant}",
            since=str(history.since(result)) if history.runs else "",
        )
        for number, result in enumerate(shown, 1)
    ]


def _fill(failures: Sequence[Failure], run: Run, results_file: Path | None, output: Path | None) -> None:
    """Add evidence until the report is large enough: first to one failure of each test and VMM."""
    left, plots = EVIDENCE_BYTES, PLOTS
    seen: Counter[tuple[object, ...]] = Counter()
    order: list[tuple[int, Failure]] = []
    for failure in failures:
        key = (failure.result.origin, failure.result.vmm)
        order.append((seen[key], failure))
        seen[key] += 1
    for _, failure in sorted(order, key=lambda item: item[0]):
        result = failure.result
        folder = bundle_folder(results_file, run, result) if results_file else None
        failure.bundle = _link(folder, output) if folder else ""
        failure.moments = _moments(result.timeline)
        left -= len(failure.moments)
        start, rest = _parted(sorted(result.timeline, key=lambda event: event.at))
        details, timeline = result.details, _shortened(rest)
        logs = bundle_logs(folder) if folder else ()
        captures = bundle_captures(folder) if folder else ()
        plot = frames_plot(result.timeline) if plots > 0 and left > 0 else ""
        plots -= bool(plot)
        for what, content, size in (
            ("pairs", result.witnesses, 110 * len(result.witnesses)),
            ("details", details, len(details)),
            ("timeline", timeline, _size(timeline)),
            ("start", start, _size(start)),
            ("plot", plot, len(plot)),
            ("captures", captures, sum(len(capture.url) for capture in captures)),
            ("logs", logs, sum(len(log.text) for log in logs)),
        ):
            if size <= left:
                setattr(failure, what, content)
                left -= size
            elif what != "start":
                failure.left_out.append(what)
        if not plot and any(event.frames for event in result.timeline):
            failure.left_out.append("plot")


def _note_others(failures: Sequence[Failure], run: Run, anchors: Mapping[tuple[str, str], str]) -> None:
    """What the same test did elsewhere."""
    same: dict[str, list[Result]] = defaultdict(list)
    for result in run.results:
        same[result.test].append(result)
    for failure in failures:
        failure.others = [
            (other, anchors.get((other.test, other.vmm), ""))
            for other in same[failure.result.test]
            if other.vmm != failure.result.vmm
        ]


def _moments(timeline: Sequence[Event]) -> str:
    told = [
        (round(e.at, 4), e.source, e.pairs, e.pair, e.frames)
        for e in timeline
        if e.pairs is not None or e.frames is not None
    ]
    return msgspec.json.encode(told).decode() if len(told) <= TIMELINE_LINES else "[]"


def _link(folder: Path, output: Path | None) -> str:
    """The bundle as a relative link where the report lies above it, else as a path."""
    if output is not None:
        here = output.resolve().parent
        if folder.resolve().is_relative_to(here):
            return folder.resolve().relative_to(here).as_posix()
    return folder.resolve().as_uri()


def _size(timeline: Sequence[Event | str]) -> int:
    return sum(40 + len(line if isinstance(line, str) else line.text) for line in timeline)


def _parted(timeline: Sequence[Event]) -> tuple[Sequence[Event], Sequence[Event]]:
    """What a VMM logs while it starts, which is rarely of interest, and the rest."""
    spoken = next((number for number, event in enumerate(timeline) if event.source == "guest"), 0)
    return (timeline[:spoken], timeline[spoken:]) if spoken > START_LINES else ((), timeline)


def _shortened(lines: Sequence[Event]) -> Sequence[Event | str]:
    if len(lines) <= TIMELINE_LINES:
        return lines
    head, tail = TIMELINE_LINES // 4, TIMELINE_LINES - TIMELINE_LINES // 4
    gap = f"{len(lines) - TIMELINE_LINES} lines left out; they are in results.json"
    return [*lines[:head], gap, *lines[-tail:]]


def _reasons(run: Run) -> list[tuple[Verdict, str, str]]:
    """(verdict, reason, where) for everything that was not judged in earnest."""
    found: dict[tuple[Verdict, str], Counter[str]] = defaultdict(Counter)
    for result in run.results:
        if result.verdict in (Verdict.SKIP, Verdict.XFAIL):
            found[result.verdict, result.reason or "no reason given"][result.vmm] += 1
    return [
        (verdict, reason, ", ".join(f"{name} {number}" for name, number in where.items()))
        for (verdict, reason), where in sorted(found.items())
    ]
