"""docs/defects.md: the defects that the suite found, made from the baselines."""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.checkout import ROOT
from harness.errors import HarnessError
from harness.expected.baseline import FOLDER, Baseline, Outcome, load_baselines
from harness.expected.causes import asks_nothing
from harness.program import called
from harness.record.store import write_atomically
from harness.register.proofs import proofs
from harness.register.register import Force, Register, load_register

DOC = ROOT / "docs" / "defects.md"
DEFECTS = (Outcome.FAIL, Outcome.DISAGREE, Outcome.RACE)
"""What is expected of a build that is wrong."""


@dataclass
class Defect:
    """One defect of one kind of VMM: the builds that have it, the tests that show it, and where it is told."""

    kind: str
    text: str
    link: str
    builds: list[str] = field(default_factory=list)
    tests: Counter[str] = field(default_factory=Counter)
    """Functions, each with the number of builds that it fails on."""

    def rows(self, register: Register) -> list[str]:
        """Requirements: those that ask for something first, then those that most of its tests prove."""
        numbers = Counter(row for test in self.tests for row in proofs().get(test, ()))
        return sorted(numbers, key=lambda row: (asks_nothing(row, register), -numbers[row], row))


def defects(baselines: dict[Path, Baseline]) -> list[Defect]:
    """Those of all builds, the most widely shown first."""
    found: dict[tuple[str, str], Defect] = {}
    for path, baseline in baselines.items():
        for entry in baseline.expect:
            if entry.verdict not in DEFECTS:
                continue
            key = (baseline.build.kind, entry.reason)
            defect = found.setdefault(key, Defect(baseline.build.kind, entry.reason, entry.link))
            defect.link = defect.link or entry.link
            if path.stem not in defect.builds:
                defect.builds.append(path.stem)
            defect.tests.update({test.partition("[")[0].rstrip("*") for test in entry.tests})
    return sorted(found.values(), key=lambda defect: (defect.kind, -len(defect.tests), defect.text))


def markdown(found: Sequence[Defect], register: Register) -> str:
    """The page."""
    return "\n".join(_lines(found, register)) + "\n"


def _lines(found: Sequence[Defect], register: Register) -> Iterator[str]:
    yield "<!-- Generated from ci/baselines/ by `python -m harness.expected.defects`. -->"
    yield "# Defects found"
    yield ""
    yield "What the suite found in real builds: each with the requirement that it breaks, the builds that have it, and"
    yield "the line that shows it. A build that is not named either does not have the defect or was not tried."
    by_kind: dict[str, list[Defect]] = defaultdict(list)
    for defect in found:
        by_kind[defect.kind].append(defect)
    for kind, mine in by_kind.items():
        yield from ("", f"## {kind}: {len(mine)}")
        for defect in mine:
            yield from _entry(defect, register)


def _entry(defect: Defect, register: Register) -> Iterable[str]:
    rows = defect.rows(register)
    yield from ("", f"### {defect.text}", "")
    if rows and rows[0] in register.rows:
        row = register.rows[rows[0]]
        others = f" (also {', '.join(rows[1:4])})" if rows[1:] else ""
        yield f"- **{row.id}**, {_force(row.force)}: {row.text}{others}"
    yield f"- builds: {', '.join(defect.builds)}"
    if defect.link:
        yield f"- <{defect.link}>"
    test = min(defect.tests, key=lambda name: (-defect.tests[name], name))
    yield f"- `{called('conformance')} '{test}' --vmm PATH`, and {_more(len(defect.tests) - 1)}"


def _more(number: int) -> str:
    return f"{number} more test{'s' * (number != 1)}" if number else "no other test"


def _force(force: Force) -> str:
    return force.value.upper() if force in (Force.MUST, Force.SHOULD, Force.MAY) else force.value


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with --check only say whether it is up to date. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.expected.defects", description="Generate docs/defects.md from the baselines."
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the page is out of date"
    )
    options = parser.parse_args(arguments)
    try:
        text = markdown(defects(load_baselines(FOLDER)), load_register())
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 2
    if options.check:
        fresh = DOC.is_file() and DOC.read_text() == text
        if not fresh:
            print(f"{DOC} is out of date: run python -m harness.expected.defects", file=sys.stderr)
        return 0 if fresh else 1
    write_atomically(DOC, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
