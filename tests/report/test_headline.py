"""A run in one line."""

from __future__ import annotations

import pytest

from harness.expected.causes import Cause, Key, Standing
from harness.report.headline import in_one_line
from tests.synthetic_runs import MakeResult, MakeRun


@pytest.mark.parametrize(
    ("standings", "words"),
    [
        ([Standing.NEW], "1 NEW cause"),
        ([Standing.NEW, Standing.NEW, Standing.KNOWN], "2 NEW causes, 1 known"),
        ([Standing.KNOWN, Standing.KNOWN], "2 known, nothing new"),
        ([Standing.UNCOMPARED], "1 cause of failures"),
        ([], "nothing to look at"),
    ],
)
def test_what_there_is_to_look_at(
    standings: list[Standing], words: str, make_result: MakeResult, make_run: MakeRun
) -> None:
    result = make_result(verdict="fail")
    found = [Cause(Key("alpha", standing, str(n)), (result,), "") for n, standing in enumerate(standings)]
    assert in_one_line(make_run(result), found) == words


def test_errors_are_told_beside_causes_and_alone(make_result: MakeResult, make_run: MakeRun) -> None:
    assert in_one_line(make_run(make_result(verdict="error")), []) == "1 could not judge"


def test_a_run_that_judged_nothing_is_not_a_good_one(make_result: MakeResult, make_run: MakeRun) -> None:
    assert in_one_line(make_run(make_result(verdict="skip")), []) == "no test was judged"
    some = make_run(make_result(), selected=2)
    assert in_one_line(some, []) == "nothing to look at in what was run"
