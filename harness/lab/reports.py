"""pytest's reports as JSON and back, as they were: what is a tuple for pytest is one again."""

from __future__ import annotations

from typing import Any

import pytest


def packed(config: pytest.Config, report: pytest.TestReport) -> dict[str, Any]:
    """A report as dicts, lists, words and numbers."""
    data: dict[str, Any] = config.hook.pytest_report_to_serializable(config=config, report=report)
    return data


def unpacked(config: pytest.Config, data: dict[str, Any]) -> pytest.TestReport:
    """The other way round. JSON knows no tuples, and pytest looks for some (the place and reason of a skip)."""
    report: pytest.TestReport = config.hook.pytest_report_from_serializable(config=config, data=data)
    report.location = tuple(report.location)  # type: ignore[assignment]
    if isinstance(report.longrepr, list):
        report.longrepr = tuple(report.longrepr)
    report.sections = [(title, words) for title, words in report.sections]
    report.user_properties = [(name, value) for name, value in report.user_properties]
    return report
