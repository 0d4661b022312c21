from __future__ import annotations

from typing import TYPE_CHECKING

from harness.record.results import Run
from harness.register.register import load_register
from harness.report.summary import FAILURES, markdown_summary

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun


def _summary(run: Run) -> str:
    return markdown_summary(run, load_register())


def test_a_clean_run_says_so(make_result: MakeResult, make_run: MakeRun) -> None:
    text = _summary(make_run(make_result(), make_result(vmm="beta")))
    assert text.startswith("## virtio-net multiqueue: nothing to look at\n")
    assert "Not everything ran" not in text
    assert "| **alpha** synthetic 1.0 | 1 |" in text


def test_a_cause_is_named_with_its_tests_and_how_to_repeat_it(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    bad = make_result(verdict="fail", reason="pair 3 got 16 frames", rerun="ci/conformance 't.py::test_a'")
    text = _summary(make_run(bad, make_result(vmm="beta", disagreement=True)))
    assert text.startswith("## virtio-net multiqueue: 2 causes of failures\n")
    assert "| no baseline | alpha | 1 | NET-MQ-04 | pair 3 got 16 frames |" in text
    assert "- **alpha**: 1 fail = 1 cause; no baseline is about this build" in text
    assert "```sh\nci/conformance 't.py::test_a'\n```" in text


def test_what_is_missing_comes_first(make_result: MakeResult, make_run: MakeRun) -> None:
    text = _summary(make_run(make_result(), selected=3, complete=False, deselected=2))
    line = next(line for line in text.splitlines() if line.startswith("> "))
    assert "stopped before its end" in line
    assert "2 of 3 selected tests have no result" in line
    assert "2 tests were left out" in line


def test_skips_are_listed_with_their_reason(make_result: MakeResult, make_run: MakeRun) -> None:
    assert "skip 1: no KVM" in _summary(make_run(make_result(verdict="skip", reason="no KVM")))


def test_text_from_outside_breaks_no_table_and_is_no_markup(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    reason = "a|b\n<img src=x> `code` @everyone " + "x" * 1000
    text = _summary(make_run(make_result("t.py::test_a[|`]", verdict="fail", reason=reason)))
    line = next(line for line in text.splitlines() if "| NET-MQ-04 |" in line)
    assert line.replace("\\|", "").count("|") == 7
    assert "<img" not in text
    assert "@everyone" not in text
    assert len(line) < 600


def test_it_fits_into_a_comment(make_result: MakeResult, make_run: MakeRun) -> None:
    results = [
        make_result(
            f"t.py::test_{n}", verdict="fail", reason=f"{chr(97 + n % 26)}{chr(97 + n // 26)} why " * 200
        )
        for n in range(500)
    ]
    text = _summary(make_run(*results))
    assert f"… and {500 - FAILURES} more." in text
    assert len(text) < 60_000


def test_a_run_that_judged_nothing_is_not_a_clean_one(make_result: MakeResult, make_run: MakeRun) -> None:
    assert _summary(make_run(make_result(verdict="skip"))).startswith(
        "## virtio-net multiqueue: no test was judged\n"
    )


def test_no_link_image_mention_or_emphasis_comes_from_outside(
    make_result: MakeResult, make_run: MakeRun
) -> None:
    evil = "[x](http://e.test) ![i](https://e.test/i.png) www.e.test @someone #12 **b** _i_ ~s~ \\| a"
    bad = make_result(verdict="fail", reason=evil, version=evil, requirements=("*NET*",), rerun="a\n```\n# b")
    text = _summary(make_run(bad, started="**2026**"))
    for markup in (
        "](",
        "![",
        "**b**",
        " #12",
        "\n```\n# b",
        "@someone",
        "://",
        "www.e",
        "**2026**",
        "*NET*|",
    ):
        assert markup not in text.replace("**alpha**", ""), markup
