"""The last screen: a line for each cause, the line that repeats what is new, and the exit status in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.expected.causes import Cause, Key, Standing
from harness.report.history import History
from harness.report.last_screen import causes_text, ending
from tests.synthetic_runs import MakeResult, MakeRun

WIDTH = 80


@pytest.fixture
def new(make_result: MakeResult) -> Cause:
    result = make_result(
        "t::new", verdict="fail", reason="pair 1 is deaf " + "x" * 99, rerun="ci/conformance t::new"
    )
    return Cause(Key("alpha", Standing.NEW, "x"), (result,), "NET-MQ-03")


@pytest.fixture
def known(make_result: MakeResult) -> Cause:
    results = tuple(make_result(f"t::{n}", verdict="fail", rerun=f"ci/conformance t::{n}") for n in range(12))
    return Cause(
        Key("alpha", Standing.KNOWN, "all pairs are active", "https://example.org/1"), results, "NET-MQ-05"
    )


def test_each_cause_is_a_line_and_what_is_new_can_be_repeated(
    make_run: MakeRun, new: Cause, known: Cause
) -> None:
    text = causes_text(make_run(*new.results, *known.results), [new, known], History(), width=WIDTH)
    first, line, again, other = text.splitlines()
    assert first == "alpha: 13 fail = 1 known cause, 1 NEW; 0 pass"
    assert line.startswith("   NEW 1 NET-MQ-03: pair 1 is deaf xxx")
    assert len(line) <= WIDTH
    assert line.endswith("…")
    assert again == "       ci/conformance t::new"
    assert other == "    12 NET-MQ-05: all pairs are active https://example.org/1"


def test_on_request_what_is_known_can_be_repeated_too(make_run: MakeRun, known: Cause) -> None:
    text = causes_text(make_run(*known.results), [known], History(), width=WIDTH, whole=True)
    assert text.splitlines()[-1] == "       ci/conformance t::0"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit status 0: everything that was judged passed"),
        (1, "exit status 1: tests failed; 1 of the causes are NEW"),
        (2, "exit status 2: interrupted"),
        (4, "exit status 4: the command line cannot be used"),
    ],
)
def test_exit_status_is_told_in_words(code: int, words: str, new: Cause, known: Cause) -> None:
    assert ending(code, [new, known], judged=True, page=Path("report/report.html")) == [
        "report: report/report.html",
        words,
    ]


def test_nothing_new_and_nothing_judged_are_told(known: Cause) -> None:
    assert ending(1, [known], judged=True, page=None) == ["exit status 1: tests failed; all of it is known"]
    assert ending(0, [], judged=False, page=None) == ["exit status 0: nothing was judged"]
