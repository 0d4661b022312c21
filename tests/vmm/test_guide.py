"""The guide to adding a VMM tells the truth, and the README has a row for each VMM."""

from __future__ import annotations

import re

from harness.checkout import ROOT
from harness.vmm.base import Vmm
from harness.vmm.find import ASKED_FOR, KINDS

GUIDE = (ROOT / "docs" / "adding-a-vmm.md").read_text()
ROWS = {
    line.split("|")[1].partition(",")[0].strip().lower()
    for line in (ROOT / "README.md").read_text().partition("## VMMs")[2].partition("\n## ")[0].splitlines()
    if line.startswith("|")
}


def section(title: str) -> str:
    return GUIDE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_files_that_are_touched_are_there() -> None:
    named = re.findall(r"^\| `([^`]+)` \|", section("What you touch"), re.MULTILINE)
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name.replace("NAME", "crosvm")).exists()] == []


def test_everything_that_an_adapter_says_as_data_is_named() -> None:
    data = {name for name in Vmm.__annotations__ if not name.startswith("_")}
    named = re.findall(
        r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", section("What an adapter says"), re.MULTILINE))
    )
    assert set(named) == data


def test_example_is_the_adapter_s_own_code() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    assert code in (ROOT / "harness" / "vmm" / "crosvm.py").read_text()


def test_each_vmm_has_a_row_in_the_readme() -> None:
    assert {kind.kind.replace("qemu-microvm", "qemu") for kind in (*KINDS, *ASKED_FOR.values())} <= ROWS


def test_guide_is_found() -> None:
    for page in ("README.md", "CONTRIBUTING.md"):
        assert "docs/adding-a-vmm.md" in (ROOT / page).read_text()
