"""What pytest prints of a failure holds nothing that a terminal obeys."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import VmmError
from harness.evidence.shown import make_printable

CLEARS = "\x1b[2J"
"""Clears a terminal."""


def refused() -> pytest.ExceptionInfo[VmmError]:
    with pytest.raises(VmmError) as met:
        raise VmmError(f"refused:{CLEARS} no") from ValueError(f"cause:{CLEARS} it")
    return met


def shown(longrepr: Any) -> pytest.TestReport:
    report = pytest.TestReport("t.py::test_a", ("t.py", 1, "test_a"), {}, "failed", longrepr, "call")
    report.sections = [(f"log of {CLEARS}", f"it said:{CLEARS} oh")]
    make_printable(report)
    return report


@pytest.mark.parametrize("style", ["long", "short", "native", "value", "line"])
def test_traceback_of_every_style_is_printable(style: Any) -> None:
    report = shown(refused().getrepr(style=style))
    assert "\x1b" not in report.longreprtext
    assert "refused:\N{REPLACEMENT CHARACTER}[2J no" in report.longreprtext
    assert "cause:\N{REPLACEMENT CHARACTER}[2J it" in report.longreprtext, (
        "it was never raised: pytest has no frame"
    )


@pytest.mark.parametrize("style", ["long", "native"])
def test_summary_line_is_printable(style: Any) -> None:
    crash: Any = shown(refused().getrepr(style=style)).longrepr
    assert (
        crash.reprcrash.message == f"{VmmError.__module__}.VmmError: refused:\N{REPLACEMENT CHARACTER}[2J no"
    )


def test_sections_and_plain_words_are_printable() -> None:
    report = shown(f"died:{CLEARS}")
    assert report.longrepr == "died:\N{REPLACEMENT CHARACTER}[2J"
    assert report.sections == [
        ("log of \N{REPLACEMENT CHARACTER}[2J", "it said:\N{REPLACEMENT CHARACTER}[2J oh")
    ]
