"""What fails, as a list: its order, and what it says of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.record.results import PairRow, Run
from harness.register.register import load_register
from harness.report.headline import Headline, contradiction, headlines, in_one_line
from harness.report.history import History

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun


def lines_of(run: Run) -> list[Headline]:
    return headlines(run, load_register(), History())


def rows(guest: str, host: str, frames: str = "") -> list[PairRow]:
    """Four pairs; the digits name the active ones, and those with frames."""
    return [
        PairRow(n, str(n) in guest, str(n) in host, int(str(n) in frames) if frames else None)
        for n in range(4)
    ]


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (rows("0", "0", "0"), ""),
        (rows("01", "01"), ""),
        (
            rows("01", "0123", "0123"),
            "guest told pairs 0, 1, host holds pairs 0 to 3, frames on pairs 0 to 3",
        ),
        (rows("0", "0", "02"), "guest told pair 0, host holds pair 0, frames on pairs 0, 2"),
        (rows("0", ""), "guest told pair 0, host holds no pair"),
        ([PairRow(0, True, None, 3), PairRow(1, False, None, 3)], "guest told pair 0, frames on pairs 0, 1"),
        ([*rows("0", "0"), *rows("0", "01")], ""),
        ([], ""),
    ],
)
def test_what_contradicts_is_said_in_words(seen: list[PairRow], words: str) -> None:
    assert contradiction(seen) == words


def test_reason_has_no_python_in_it(make_result: MakeResult, make_run: MakeRun) -> None:
    reason = "assert frozenset({0, 1}) == frozenset() and <Ack.OK: 0> is <Ack.ERR: 1>"
    bad = make_result(verdict="fail", reason=reason, witnesses=tuple(rows("0", "01")))
    (line,) = lines_of(make_run(bad))
    assert line.reason == (
        "guest told pair 0, host holds pairs 0, 1 · assert {0, 1} == {} and Ack.OK is Ack.ERR"
    )


def test_what_fails_comes_before_what_disagrees_and_must_before_quality(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    register = load_register()
    quality = next(row.id for row in register.rows.values() if row.force == "quality")
    run = make_run(
        make_result("t.py::test_torn", disagreement=True, requirements=("NET-MQ-02",)),
        make_result("t.py::test_nice[1]", verdict="fail", requirements=(quality,)),
        make_result("t.py::test_nice[2]", verdict="fail", requirements=(quality,), reason="another"),
        make_result("t.py::test_must", verdict="fail", requirements=("NET-MQ-02",)),
        make_result("t.py::test_fine"),
    )
    lines = lines_of(run)
    assert [line.words for line in lines] == ["must", "nice", "torn"]
    assert [line.other_reasons for line in lines] == [0, 1, 0]
    assert in_one_line(run, lines) == "2 tests fail, 1 passes although witnesses disagree"
