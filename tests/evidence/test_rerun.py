"""The line that repeats a test names every build that the test needs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.evidence.rerun import Rerun
from harness.record.results import NO_WRITER, Case


def a_build(name: str) -> Any:
    return SimpleNamespace(name=name, place=Path("/opt") / name)


@pytest.mark.parametrize(
    ("parameters", "writer"),
    [
        ({}, []),
        ({"writer": NO_WRITER}, []),
        ({"writer": "new"}, []),
        ({"writer": "old"}, ["--legacy-vmm", "old=/opt/old"]),
        ({"writer": "other"}, ["--vmm", "other=/opt/other"]),
    ],
)
def test_line_names_who_wrote_the_snapshot(parameters: dict[str, str], writer: list[str]) -> None:
    case = Case(test="t.py::test_a", file="t.py", function="test_a", parameters=parameters, vmm="new")
    line = Rerun(a_build, 42, ("old",), ("--lab", "never")).line("t.py::test_a", case)
    assert line.split() == [
        *("ci/conformance", "t.py::test_a", "--vmm", "new=/opt/new"),
        *writer,
        *("--seed", "42", "--lab", "never"),
    ]
