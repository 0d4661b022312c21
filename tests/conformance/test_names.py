"""Names of the suite's files."""

from __future__ import annotations

from collections import Counter

from harness.checkout import ROOT


def test_no_two_files_have_one_name() -> None:
    """The suite's folders are no packages: pytest collects nothing at all where two of their modules have one name."""
    names = Counter(path.name for path in (ROOT / "conformance").rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
