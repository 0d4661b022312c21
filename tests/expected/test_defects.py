"""The page of defects: made from the baselines, and never out of date."""

from __future__ import annotations

from pathlib import Path

from harness.expected.baseline import FOLDER, Baseline, Build, Expectation, Outcome, load_baselines
from harness.expected.defects import DOC, defects, markdown
from harness.register.register import load_register

TEST = "conformance/mq/test_pairs_set.py::test_count_is_acknowledged"


def baseline(version: str, *entries: Expectation) -> Baseline:
    return Baseline(1, Build(kind="synthetic", version=version), (), entries)


def entry(reason: str, verdict: Outcome = Outcome.FAIL, link: str = "") -> Expectation:
    return Expectation((f"{TEST}[*",), verdict, reason, link)


def test_the_page_is_up_to_date() -> None:
    text = markdown(defects(load_baselines(FOLDER)), load_register())
    assert DOC.read_text() == text, "run python -m harness.expected.defects"


def test_a_defect_of_two_builds_is_one_with_its_link_and_what_shows_it() -> None:
    files = {
        Path("one.toml"): baseline("1", entry("all pairs are active")),
        Path("two.toml"): baseline("2", entry("all pairs are active", link="https://example.org/7")),
    }
    (defect,) = defects(files)
    assert (defect.builds, defect.link) == (["one", "two"], "https://example.org/7")
    page = markdown([defect], load_register())
    assert "### all pairs are active" in page
    assert f"ci/conformance '{TEST}' --vmm PATH`, and no other test" in page
    assert "**NET-MQ-" in page


def test_skips_and_passes_are_no_defects() -> None:
    files = {Path("one.toml"): baseline("1", entry("no KVM", Outcome.SKIP), entry("passes", Outcome.PASS))}
    assert defects(files) == []
