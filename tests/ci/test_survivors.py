"""What `mutmut results` prints, put together and compared with what is explained."""

from __future__ import annotations

import tomllib

from harness.checkout import ROOT
from tests.survivors import KNOWN, survivors, unexplained

SAID = """
    harness.testbed.nic.xǁNicǁ_take__mutmut_1: survived
    harness.testbed.nic.xǁNicǁ_take__mutmut_12: no tests
    harness.evidence.key.x_key_of__mutmut_33: survived
    harness.evidence.key.x__of_assertion__mutmut_2: killed
    harness.evidence.junit.x_annotate__mutmut_3: survived
"""


def test_survivors_are_counted_by_function() -> None:
    assert survivors(SAID) == {
        ("harness.testbed.nic", "Nic._take"): 2,
        ("harness.evidence.key", "key_of"): 1,
        ("harness.evidence.junit", "annotate"): 1,
    }


def test_more_than_is_explained_in_a_measured_file_is_said() -> None:
    known = {
        "harness.testbed.nic": {"Nic._take": {"most": 1}},
        "harness.evidence.key": {"key_of": {"most": 1}},
    }
    lines = unexplained(survivors(SAID), known)
    assert lines == ["harness.testbed.nic Nic._take: 2 survive, 1 are explained"]


def test_what_is_explained_is_there_and_says_why() -> None:
    for module, functions in tomllib.loads(KNOWN.read_text()).items():
        text = (ROOT / f"{module.replace('.', '/')}.py").read_text()
        for function, entry in functions.items():
            assert f"def {function.rpartition('.')[2]}(" in text, f"{module} has no {function}"
            assert entry["reason"]
            assert entry["most"] > 0


def test_every_part_that_judges_is_measured() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    places = [ROOT / place for place in settings["source_paths"]]
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*.py"))]
    names = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files if "def " in file.read_text()
    }
    assert names == {*tomllib.loads(KNOWN.read_text())}
