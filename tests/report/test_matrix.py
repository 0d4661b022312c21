from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.record.results import Result, VmmInfo
from harness.report.fold import rows_by_requirement, rows_by_test
from harness.report.matrix import matrix_text, told_apart
from tests.synthetic_runs import not_run

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun


def _pairs(make_result: MakeResult, bad: set[int], vmm: str = "alpha") -> list[Result]:
    return [
        make_result(
            f"t.py::test_pairs[{driver}-{n}]",
            vmm,
            "fail" if n in bad else "pass",
            parameters={"driver": driver, "pairs": str(n)},
        )
        for driver in ("probe", "linux")
        for n in (1, 2, 3, 4)
    ]


def test_variants_that_agree_share_a_row(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(*_pairs(make_result, set()), *_pairs(make_result, set(), "beta"))
    (row,) = rows_by_test(run)
    assert row.label == "test_pairs (8)"
    assert [cell.total for cell in row.cells] == [8, 8]


def test_variants_that_differ_are_named_by_what_differs(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(*_pairs(make_result, {3}), *_pairs(make_result, set(), "beta"))
    assert [row.label for row in rows_by_test(run)] == ["test_pairs [pairs=1,2,4]", "test_pairs [pairs=3]"]


def test_variants_without_a_common_trait_are_listed(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(
        *(
            make_result(
                f"t.py::test_x[probe-{d}-{b}]",
                verdict="fail" if d + b in ("ac", "bd") else "pass",
                parameters={"driver": "probe", "d": d, "b": b},
            )
            for d in "ab"
            for b in "cd"
        )
    )
    assert [row.label for row in rows_by_test(run)] == ["test_x [a-c, b-d]", "test_x [a-d, b-c]"]


def test_words_with_hyphens_are_no_obstacle(make_result: MakeResult, make_run: MakeRun) -> None:
    steps = ("back-to-a-snapshot", "reset", "snapshot-and-restore")
    red = {(step, pairs) for step in steps if step != "reset" for pairs in "12"}
    run = make_run(
        *(
            make_result(
                f"t.py::test_x[probe-tap-{step}-{pairs}]",
                verdict="fail" if (step, pairs) in red else "pass",
                parameters={"driver": "probe", "backend": "tap", "transition": step, "pairs": pairs},
            )
            for step in steps
            for pairs in "1234"
        )
    )
    labels = [row.label for row in rows_by_test(run)]
    assert "test_x [transition=back-to-a-snapshot,snapshot-and-restore pairs=1,2]" in labels


def test_variants_of_an_old_run_are_told_apart_by_their_ids(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    run = make_run(
        make_result("t.py::test_x[probe-1]", parameters={"driver": "probe", "variant": "1"}),
        make_result("t.py::test_x[probe]", verdict="fail", parameters={"driver": "probe"}),
    )
    assert {row.label for row in rows_by_test(run)} == {"test_x [probe-1]", "test_x [probe]"}


def test_columns_are_vmms_in_the_order_given(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(make_result(vmm="beta"), make_result(vmm="alpha", verdict="error"))
    head, _, row = matrix_text(run).splitlines()[:3]
    assert head.split() == ["test", "beta", "alpha"]
    assert row.split() == ["test_a", "pass", "ERROR"]


def test_every_verdict_has_its_word_and_nothing_is_a_dash(make_result: MakeResult, make_run: MakeRun) -> None:
    verdicts = ("pass", "fail", "xfail", "xpass", "skip", "error")
    results = [make_result(vmm=f"v{number}", verdict=verdict) for number, verdict in enumerate(verdicts)]
    vmms = tuple(VmmInfo(f"v{number}", "synthetic", "1") for number in range(7))
    text = matrix_text(make_run(*results, vmms=vmms))
    assert text.splitlines()[2].split() == ["test_a", "pass", "FAIL", "xfail", "XPASS", "skip", "ERROR", "—"]


def test_a_skip_is_listed_with_its_reason_and_never_hidden_behind_a_pass(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    run = make_run(
        make_result("t.py::test_a"),
        make_result("t.py::test_b", verdict="skip", reason="no KVM here: use the lab"),
    )
    assert "skip alpha 1: no KVM here: use the lab" in matrix_text(run)
    assert "NET-MQ-04    skip 1/2" in matrix_text(run, "requirement")


def test_what_was_not_run_shows(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(make_result(), selected=3, not_run=(not_run("t.py::test_b", "alpha"),), deselected=4)
    text = matrix_text(run)
    assert "NOT RUN: 2 of 3 selected" in text
    assert "4 left out by the options" in text
    assert next(line for line in text.splitlines() if "test_b" in line).split() == ["test_b", "—"]


def test_disagreeing_witnesses_show_even_in_a_pass(make_result: MakeResult, make_run: MakeRun) -> None:
    text = matrix_text(make_run(make_result(disagreement=True)))
    assert "pass ≠" in text
    assert "witnesses disagree in 1" in text


def test_rows_by_requirement_count_a_test_in_each_of_its_rows(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    run = make_run(
        make_result("t.py::test_a", requirements=("NET-MQ-04", "VU-08")),
        make_result("t.py::test_b", requirements=("VU-08",), verdict="fail"),
    )
    rows = {row.label: row for row in rows_by_requirement(run)}
    assert rows["NET-MQ-04"].cells[0].worst == "pass"
    assert rows["VU-08"].cells[0].counts == (("fail", 1), ("pass", 1))


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_it_fits(width: int, make_result: MakeResult, make_run: MakeRun) -> None:
    test = f"conformance/mq/test_{'long_' * 30}name.py::test_{'very_' * 30}long[{'p' * 80}]"
    run = make_run(
        *(make_result(test, f"release-v{n}.0-nightly", "skip", reason="why " * 60) for n in range(4))
    )
    text = matrix_text(run, width=width, color=False)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b[" not in text
    assert "\x1b[" in matrix_text(run, width=width, color=True)


def test_markup_in_names_is_shown_as_it_is(make_result: MakeResult, make_run: MakeRun) -> None:
    run = make_run(make_result("t.py::test_x[bold]", "[red]", "skip", reason="[/blue] no"))
    text = matrix_text(run)
    assert "[red]" in text
    assert "[/blue] no" in text


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["base", "patched"], ["base", "patched"]),
        (["cloud-hypervisor-before", "cloud-hypervisor-after"], ["cloud-…-before", "cloud-…r-after"]),
        (["a-long-name-1-of-these", "a-long-name-2-of-these"], ["1…long…f-these", "2…long…f-these"]),
    ],
)
def test_long_names_are_told_apart(names: list[str], shown: list[str]) -> None:
    assert told_apart(names, 14) == shown
