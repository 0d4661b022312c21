"""What JUnit XML says of a test, and where its bundle is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.evidence.junit import SECTION, annotate, properties
from tests.synthetic_runs import MakeResult

NAMES = ("vmm", "version", "driver", "backend")
SAID = [
    *zip(NAMES, ("alpha", "synthetic 1.0", "probe", "tap"), strict=True),
    ("requirements", "NET-MQ-04"),
    ("verdict", "pass"),
]
"""Of a test without more to say."""


def test_properties_have_what_is_known_and_nothing_empty(make_result: MakeResult) -> None:
    assert properties(make_result()) == SAID
    told = make_result(
        verdict="fail",
        parameters={"driver": "linux", "pairs": "3", "backend": "tap", "order": "up"},
        requirements=("A-1", "B-2"),
        disagreement=True,
        seed=0,
        lab="a machine",
        rerun="ci/conformance x",
    )
    assert properties(told) == [
        *zip(NAMES, ("alpha", "synthetic 1.0", "linux", "tap"), strict=True),
        ("parameters", "pairs=3 order=up"),
        ("requirements", "A-1 B-2"),
        ("verdict", "fail"),
        ("witnesses", "disagree"),
        ("seed", 0),
        ("lab", "a machine"),
        ("rerun", "ci/conformance x"),
    ]


@pytest.mark.parametrize(
    ("phases", "verdict"),
    [
        (["pass"], "pass"),
        (["pass", "error"], "error"),
        (["fail", "pass"], "fail"),
        (["fail", "error"], "error"),
    ],
)
def test_bad_phase_stands_for_the_test(make_result: MakeResult, phases: list[str], verdict: str) -> None:
    item: Any = SimpleNamespace(user_properties=[])
    for phase in phases:
        report: Any = SimpleNamespace(user_properties=[("from", "pytest")])
        annotate(item, report, make_result(verdict=phase), None, {"standing": "new"})
        assert dict(report.user_properties)["verdict"] == phase
        assert report.user_properties[-1] == ("standing", "new")
        assert "from" not in dict(report.user_properties)
    assert dict(item.user_properties)["verdict"] == verdict
    assert item.user_properties[-1] == ("standing", "new")


@pytest.mark.parametrize(
    ("evidence", "bundle", "place"),
    [
        (Path("report/runs/1"), "failures/a", "report/runs/1/failures/a.tar.gz"),
        (Path("/elsewhere/runs/1"), "failures/a", "/elsewhere/runs/1/failures/a.tar.gz"),
        (Path("report/runs/1"), "", None),
        (None, "failures/a", None),
    ],
)
def test_bundle_is_attached_by_its_place_in_the_workspace(
    make_result: MakeResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    evidence: Path | None,
    bundle: str,
    place: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    sections: list[tuple[str, ...]] = []
    item: Any = SimpleNamespace(user_properties=[], add_report_section=lambda *words: sections.append(words))
    report: Any = SimpleNamespace(user_properties=[])
    annotate(item, report, make_result(verdict="fail", bundle=bundle), evidence, {})
    assert sections == ([("call", SECTION, f"[[ATTACHMENT|{place}]]")] if place else [])
