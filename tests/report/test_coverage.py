from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.register.register import load_register
from harness.report.coverage import cover

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun


@pytest.mark.parametrize(
    ("verdict", "judged"),
    [("pass", True), ("fail", True), ("xfail", True), ("xpass", True), ("skip", False), ("error", False)],
)
def test_only_a_verdict_in_earnest_covers_a_row(
    verdict: str, judged: bool, make_result: MakeResult, make_run: MakeRun
) -> None:
    register = load_register()
    run = make_run(make_result(verdict=verdict, requirements=("NET-MQ-05",)))
    coverage = cover(run, register)
    (row,) = [row for row in coverage.rows if row.row.id == "NET-MQ-05"]
    assert row.judged is judged
    assert row.uncovered_must is not judged
    assert coverage.musts_judged == int(judged)
    assert coverage.musts_judged_on("alpha") == int(judged)
    assert coverage.musts_judged_on("beta") == 0


def test_the_sentence_counts_musts_and_excuses(make_result: MakeResult, make_run: MakeRun) -> None:
    register = load_register()
    coverage = cover(make_run(make_result(requirements=("NET-MQ-05", "NET-MQ-01"))), register)
    excused = sum(row.force == "must" and bool(row.not_tested) for row in register.rows.values())
    assert coverage.sentence() == f"1 of {len(register.musts())} MUST rows judged, {excused} more say why not"


def test_a_row_that_says_why_not_is_not_uncovered(make_run: MakeRun) -> None:
    rows = {row.row.id: row for row in cover(make_run(), load_register()).rows}
    assert not rows["NET-MQ-16"].uncovered_must
    assert rows["NET-MQ-02"].uncovered_must
    assert not rows["NET-MQ-01"].uncovered_must


def test_ids_that_the_register_lacks_are_named(make_result: MakeResult, make_run: MakeRun) -> None:
    coverage = cover(make_run(make_result(requirements=("NET-ZZ-01", "NET-MQ-01"))), load_register())
    assert coverage.unknown == ("NET-ZZ-01",)
