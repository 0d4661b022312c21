"""What pytest shows of a test, made fit for a terminal: a VMM's words may hold escape sequences."""

from __future__ import annotations

import pytest
from _pytest._code.code import (
    ExceptionChainRepr,
    ReprEntry,
    ReprEntryNative,
    ReprExceptionInfo,
    ReprFileLocation,
    ReprTraceback,
)

from harness.printable import printable


def make_printable(report: pytest.TestReport) -> None:
    """Take control characters out of a report's sections and of its failure."""
    report.sections = [(printable(name), printable(text)) for name, text in report.sections]
    shown = report.longrepr
    if isinstance(shown, str):
        report.longrepr = printable(shown)
    elif isinstance(shown, ExceptionChainRepr):
        for trace, crash, _ in shown.chain:
            _clean(trace, crash)
    elif isinstance(shown, ReprExceptionInfo):  # --tb=native
        _clean(shown.reprtraceback, shown.reprcrash)


def _clean(trace: ReprTraceback, crash: ReprFileLocation | None) -> None:
    if crash is not None:
        crash.message = printable(crash.message)
    for entry in trace.reprentries:
        if isinstance(entry, ReprEntry | ReprEntryNative):  # the latter also for a cause that has no frames
            entry.lines = [printable(line) for line in entry.lines]
