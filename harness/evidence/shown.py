"""What pytest shows of a test, made fit for a terminal: a VMM's words may hold escape sequences."""

from __future__ import annotations

import pytest
from _pytest._code.code import ExceptionChainRepr, ReprEntry

from harness.printable import printable


def make_printable(report: pytest.TestReport) -> None:
    """Take control characters out of a report's sections and of its failure."""
    report.sections = [(printable(name), printable(text)) for name, text in report.sections]
    if isinstance(report.longrepr, str):
        report.longrepr = printable(report.longrepr)
    elif isinstance(report.longrepr, ExceptionChainRepr):
        for trace, crash, _ in report.longrepr.chain:
            if crash is not None:
                crash.message = printable(crash.message)
            for entry in trace.reprentries:
                if isinstance(entry, ReprEntry):
                    entry.lines = [printable(line) for line in entry.lines]
