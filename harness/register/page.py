"""docs/requirements.md, generated from the register."""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.checkout import ROOT
from harness.errors import HarnessError
from harness.record.store import write_atomically
from harness.register.register import PATH, Force, Register, Requirement, Source, load_register

DOC = ROOT / "docs" / "requirements.md"

_MEANING = {
    Force.MUST: "a normative MUST or MUST NOT of the document",
    Force.SHOULD: "a normative SHOULD",
    Force.MAY: "a normative MAY",
    Force.DESCRIPTIVE: "the document says so without a normative word, or it is a fact that tests rest on",
    Force.QUALITY: "no document asks for it: quality of implementation, and what the reference peer does",
    Force.PRODUCT: "a rule of the VMM's own",
}


def cite(source: Source, since: str = "") -> str:
    """A source as text: `virtio 1.0 to 1.1: 5.1; 1.2: 5.2, “Title”`; versions before `since` are left out."""
    by_number: dict[str, list[str]] = {}
    for version, number in source.sections.items():
        if version >= since:
            by_number.setdefault(number, []).append(version)
    numbers = "; ".join(f"{_span(versions)}: {number}" for number, versions in by_number.items())
    return (
        f"{source.document} {numbers}, “{source.title}”" if numbers else f"{source.document}, {source.title}"
    )


def _span(versions: Sequence[str]) -> str:
    return versions[0] if len(versions) == 1 else f"{versions[0]} to {versions[-1]}"


def markdown(register: Register) -> str:
    """The whole page."""
    return "\n".join(_page(register)) + "\n"


def _page(register: Register) -> Iterable[str]:
    yield "<!-- Generated from conformance/requirements.toml by `python -m harness.register.page`. -->"
    yield "# Requirements"
    yield ""
    yield "What a VMM's virtio-net multiqueue has to do, who says so, what provokes it, and which witness"
    yield "shows it. Every test of the suite names the rows that it proves; a row that no test can prove says"
    yield "why. All texts are paraphrases: the documents named are what counts. Section numbers are given per"
    yield "version of virtio, because they move; titles do not."
    yield ""
    yield "| force | meaning | rows | without a test |"
    yield "|---|---|--:|--:|"
    rows = list(register.rows.values())
    total, untested = Counter(r.force for r in rows), Counter(r.force for r in rows if r.not_tested)
    for force, meaning in _MEANING.items():
        yield f"| {force} | {meaning} | {total[force]} | {untested[force]} |"
    yield ""
    groups = Counter(row.group for row in rows)
    for group, title in register.groups.items():
        if number := groups[group]:
            link = f"[{title}](#{_anchor(f'{title} ({group})')})"
            yield f"- {link}: {number} row{'s' * (number != 1)}, {group}"
    for group, title in register.groups.items():
        mine = [row for row in rows if row.group == group]
        if mine:
            yield ""
            yield f"## {title} ({group})"
        for row in mine:
            yield ""
            yield from _row(row, register)


def _anchor(heading: str) -> str:
    """What GitHub makes of a heading's text, for links."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _row(row: Requirement, register: Register) -> Iterable[str]:
    binds = "" if row.binds == "device" else f", binds the {row.binds}"
    since = f", since virtio {row.since}" if row.since else ""
    yield f"### {row.id}"
    yield f"**{row.force}**{binds}{since}. {row.text}"
    yield ""
    for number, key in enumerate(row.source):
        source = register.sources[key]
        link = f" <{source.link}>" if source.link else ""
        yield f"- {'source' if number == 0 else 'also'}: {cite(source, row.since)}{link}"
    yield f"- provoked by: {row.provoke}"
    yield f"- witness: {row.witness}"
    if row.note:
        yield f"- note: {row.note}"
    if row.not_tested:
        yield f"- **not tested:** {row.not_tested}"


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with --check only say whether it is up to date. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.register.page", description="Generate docs/requirements.md."
    )
    parser.add_argument("--register", type=Path, default=PATH, help="the register (default: this checkout's)")
    parser.add_argument(
        "-o", "--output", type=Path, default=DOC, help="the page (default: docs/requirements.md)"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the page is out of date"
    )
    options = parser.parse_args(arguments)
    try:
        text = markdown(load_register(options.register))
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 2
    if options.check:
        fresh = options.output.is_file() and options.output.read_text() == text
        if not fresh:
            print(f"{options.output} is out of date: run python -m harness.register.page", file=sys.stderr)
        return 0 if fresh else 1
    try:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(options.output, text.encode())
    except OSError as error:
        print(f"cannot write {options.output}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
