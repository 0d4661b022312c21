"""What failures are put together, what is called known or new, and the line that sums a build up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.expected.baseline import Baseline, Build, Expectation, Outcome
from harness.expected.causes import (
    Cause,
    Expected,
    Standing,
    causes,
    contradiction,
    counted,
    what_it_says,
)
from harness.record.results import Event, PairRow, Result, Run
from harness.register.register import load_register
from tests.synthetic_runs import MakeResult, MakeRun

TOO_MANY = (PairRow(0, True, True, 9), PairRow(1, False, True, 7))
"""The host holds a pair that the guest was not told of, and frames land on it."""


def entry(reason: str, *tests: str, verdict: str = "fail", seen: str = "") -> Expectation:
    return Expectation(tests, Outcome(verdict), reason, link="https://example.org/1", seen=seen)


def found(run: Run, *entries: Expectation, about: str = "synthetic") -> list[Cause]:
    baselines = {Path("b.toml"): Baseline(1, Build(kind=about), (), entries)}
    return causes(run, Expected(baselines, run.vmms), load_register())


def test_failures_with_one_reason_in_the_baseline_are_one_cause(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    run = make_run(
        make_result("t::a", verdict="fail"), make_result("t::b", verdict="fail"), make_result("t::c")
    )
    (cause,) = found(run, entry("known", "t::a"), entry("known", "t::b"))
    assert (cause.key.standing, cause.text, len(cause.results)) == (Standing.KNOWN, "known", 2)
    assert counted(run, [cause], "alpha") == "2 fail = 1 known cause, 0 NEW; 1 pass"


def test_skip_whose_witnesses_disagree_is_no_cause(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(make_result("t::a", verdict="skip", disagreement=True), make_result("t::b"))
    assert found(run, entry("known", "t::a", verdict="skip")) == []
    assert counted(run, [], "alpha") == "nothing fails; 1 skipped; 1 pass"


def test_what_the_baseline_does_not_know_is_new_and_comes_first(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    run = make_run(make_result("t::a", verdict="fail"), make_result("t::b", verdict="fail"))
    new, known = found(run, entry("known", "t::a"))
    assert (new.new, new.clearest.test) == (True, "t::b")
    assert not known.new


def test_a_known_failure_that_fails_otherwise_is_new(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(make_result("t::a", verdict="fail", reason="the VMM died"))
    (cause,) = found(run, entry("known", "t::a", seen="frames lost"))
    assert cause.new


def test_without_a_baseline_nothing_is_called_known_or_new(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    run = make_run(make_result("t::a", verdict="fail"))
    (cause,) = found(run, about="another")
    assert cause.key.standing is Standing.UNCOMPARED
    assert "no baseline is about this build" in counted(run, [cause], "alpha")


@pytest.mark.parametrize("verdict", ["pass", "skip", "error"])
def test_what_nobody_has_to_look_at_has_no_cause(
    verdict: str, make_result: MakeResult, make_run: MakeRun
) -> None:
    run = make_run(make_result(verdict=verdict), make_result("t::red", verdict="fail"))
    assert [cause.clearest.test for cause in found(run)] == ["t::red"]


SAME: dict[str, list[dict[str, Any]]] = {
    "the issue that they reproduce": [
        {"issues": ("8306",), "reason": "a"},
        {"issues": ("8306",), "reason": "b"},
    ],
    "how the VMM died": [
        {"reason": "alpha died (killed by SIGABRT) while writing; its last words: x"},
        {"reason": "alpha died (killed by SIGABRT) while a frame was awaited; its last words: y"},
    ],
    "which witnesses contradict each other": [
        {"witnesses": TOO_MANY, "reason": "assert {0, 1} == {0}"},
        {"witnesses": (*TOO_MANY, PairRow(2, False, True, 5)), "reason": "64 frames sent"},
    ],
    "requirement and reason, but for numbers": [{"reason": "waited 5 s"}, {"reason": "waited 7.5 s"}],
}
OTHER: list[dict[str, Any]] = [
    {"issues": ("8307",)},
    {"reason": "alpha died (exit status 1) at start"},
    {"witnesses": (PairRow(0, True, True, 9), PairRow(1, True, False)), "reason": "x"},
    {"reason": "another reason"},
]


@pytest.mark.parametrize(("pair", "other"), list(zip(SAME.values(), OTHER, strict=True)), ids=list(SAME))
def test_new_failures_are_put_together_by(
    pair: list[dict[str, Any]], other: dict[str, Any], make_result: MakeResult, make_run: MakeRun
) -> None:
    shown: list[Result] = [
        make_result(f"t::{number}", verdict="fail", **more) for number, more in enumerate([*pair, other])
    ]
    groups = sorted(sorted(r.test for r in cause.results) for cause in found(make_run(*shown)))
    assert groups == [["t::0", "t::1"], ["t::2"]]


def test_the_clearest_is_a_failure_with_the_shortest_story(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    long = make_result("t::long", verdict="fail", timeline=(Event(0, "guest", "x"),) * 5)
    short = make_result("t::short", verdict="fail", timeline=(Event(0, "guest", "x"),))
    disagrees = make_result("t::disagrees", disagreement=True, reason="synthetic fail")
    (cause,) = found(make_run(disagrees, long, short))
    assert [result.test for result in cause.results] == ["t::short", "t::long", "t::disagrees"]
    assert cause.failed == 2


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


def test_reason_has_no_python_in_it(make_result: MakeResult) -> None:
    reason = "assert frozenset({0, 1}) == frozenset() and <Ack.OK: 0> is <Ack.ERR: 1>"
    bad = make_result(verdict="fail", reason=reason, witnesses=tuple(rows("0", "01")))
    assert what_it_says(bad) == (
        "guest told pair 0, host holds pairs 0, 1 · assert {0, 1} == {} and Ack.OK is Ack.ERR"
    )
