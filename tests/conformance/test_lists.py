"""What must not be forgotten when something is added: lists that name other things name what there is, all of it."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable

import pytest

from harness.expected.baseline import load_baselines, matches
from harness.run.capability import Capabilities
from harness.run.session import DRIVER_NEEDS
from harness.testbed.backends import BACKENDS, NEEDS
from harness.vmm.abilities import Ability
from tests.conformance.conftest import ROOT, Collected

GUIDE = ROOT / "docs" / "writing-a-test.md"


def said(collected: Iterable[Collected], mark: str) -> set[str]:
    return {word for each in collected for word in each.marks[mark]}


def test_each_ability_is_one_that_a_test_needs(collected: list[Collected]) -> None:
    by_crossing = {Ability.FIRMWARE.name, *(ability.name for ability in NEEDS.values())}
    assert {ability.name for ability in Ability} <= said(collected, "needs") | by_crossing


def test_each_driver_and_each_backend_has_tests(collected: list[Collected]) -> None:
    assert {"probe", *said(collected, "drivers")} == set(DRIVER_NEEDS)
    assert {"tap", *said(collected, "backends")} == set(BACKENDS)
    assert set(DRIVER_NEEDS.values()) <= set(Capabilities.__dataclass_fields__)


def test_baselines_name_tests_that_there_are(collected: list[Collected]) -> None:
    stale = [
        f"{path.name}: {pattern}"
        for path, baseline in load_baselines(ROOT / "ci" / "baselines").items()
        for expectation in baseline.expect
        for pattern in expectation.tests
        if not any(matches(pattern, each.test) for each in collected)
    ]
    assert not stale, "\n".join(stale)


def test_explanations_of_the_kill_matrix_name_tests_that_there_are(collected: list[Collected]) -> None:
    explained = tomllib.loads((ROOT / "conformance" / "mutants.toml").read_text())
    assert set(explained.get("tests", {})) <= {each.function for each in collected}


@pytest.mark.parametrize("marks", [("drivers", DRIVER_NEEDS), ("backends", BACKENDS)], ids=lambda m: m[0])
def test_guide_shows_crossings_that_there_are(marks: tuple[str, Iterable[str]]) -> None:
    mark, known = marks
    (shown,) = re.findall(rf"mark\.{mark}\((.*?)\)", GUIDE.read_text())
    assert set(re.findall(r'"([^"]+)"', shown)) <= set(known)


def test_guide_names_every_fixture_that_hands_over_a_nic(collected: list[Collected]) -> None:
    text = (ROOT / "conformance" / "conftest.py").read_text()
    fixtures = set(re.findall(r"@pytest\.fixture[^\n]*\ndef (\w+)\(", text))
    told = set(re.findall(r"^\| `(\w+)` \|", GUIDE.read_text(), re.MULTILINE))
    used = {name for each in collected for name in each.fixtures}
    assert {name for name in fixtures if name.startswith("nic")} <= told
    assert told <= used, "the guide names a fixture that no test uses"


def test_assertion_speaks_in_words_or_not_at_all() -> None:
    """A message that is no text is shown as Python shows it: `(3, 16 frames sent; ...)`, `VmmDied('...')`, `12`."""
    files = [*(ROOT / "conformance").rglob("*.py"), *(ROOT / "harness" / "lifecycle").glob("*.py")]
    wordless = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in files
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.Assert) and not isinstance(node.msg, ast.JoinedStr | ast.Constant | None)
    ]
    assert not wordless
