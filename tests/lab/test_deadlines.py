"""A deadline that passes in the lab is evidence only if it passes again in a machine that has just started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.evidence.collect import ATTRIBUTE
from harness.lab.client import LabGone
from harness.lab.deadlines import MOST_AFRESH, Afresh
from harness.record.results import Verdict, from_dict, to_dict
from tests.synthetic_runs import MakeResult

LATE = {"verdict": "fail", "reason": "waited 80.0 s for a batch of 64 operations", "key": "late: a batch"}
SILENT = {"verdict": "fail", "reason": "VQ_PAIRS_SET 2 had no answer within 50.0 s", "key": "silence"}
DIED = {"verdict": "fail", "reason": "base died (killed by SIGABRT)", "key": "died: SIGABRT"}
ITEM: Any = None


@pytest.fixture
def reports(make_result: MakeResult) -> Callable[..., list[pytest.TestReport]]:
    def make(**more: Any) -> list[pytest.TestReport]:
        report = pytest.TestReport("t.py::test_a", ("t.py", 1, "test_a"), {}, "failed", "long", "call")
        setattr(report, ATTRIBUTE, to_dict(make_result(**more)))
        return [report]

    return make


def outcome(reports: list[pytest.TestReport]) -> tuple[Verdict, str]:
    (report,) = reports
    result = from_dict(getattr(report, ATTRIBUTE))
    return result.verdict, result.reason


@pytest.mark.parametrize("first", [LATE, SILENT])
@pytest.mark.parametrize("second", [{}, DIED, LATE, SILENT])
def test_deadline_is_evidence_if_it_passes_again(
    reports: Callable[..., list[pytest.TestReport]], first: dict[str, Any], second: dict[str, Any]
) -> None:
    afresh = Afresh(lambda item: reports(**second))
    verdict, reason = outcome(afresh.confirmed(ITEM, reports(**first)))
    if first is second:
        assert (verdict, reason) == ("fail", first["reason"])
    else:
        assert verdict == "error"
        assert first["reason"] in reason
        assert reason.endswith(f"in a machine that had just started: {second.get('reason') or 'it passed'}")


@pytest.mark.parametrize("first", [{}, DIED, {"verdict": "error", "reason": "no room"}])
def test_what_no_deadline_found_is_not_asked_again(
    reports: Callable[..., list[pytest.TestReport]], first: dict[str, Any]
) -> None:
    def never(item: pytest.Item) -> list[pytest.TestReport]:
        raise AssertionError

    before = outcome(reports(**first))
    assert outcome(Afresh(never).confirmed(ITEM, reports(**first))) == before


def test_machine_that_does_not_come_leaves_an_error(reports: Callable[..., list[pytest.TestReport]]) -> None:
    def gone(item: pytest.Item) -> list[pytest.TestReport]:
        raise LabGone("the lab is down\nits console")

    verdict, reason = outcome(Afresh(gone).confirmed(ITEM, reports(**LATE)))
    assert verdict == "error"
    assert reason.endswith("in a machine that had just started: the lab is down")


def test_machines_are_not_started_without_end(reports: Callable[..., list[pytest.TestReport]]) -> None:
    asked: list[object] = []

    def run(item: pytest.Item) -> list[pytest.TestReport]:
        asked.append(item)
        return reports(**LATE)

    afresh = Afresh(run)
    verdicts = [outcome(afresh.confirmed(ITEM, reports(**LATE)))[0] for _ in range(MOST_AFRESH + 1)]
    assert verdicts == ["fail"] * MOST_AFRESH + ["error"]
    assert len(asked) == MOST_AFRESH
