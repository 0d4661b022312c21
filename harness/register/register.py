"""The register of requirements: its file, read and checked, and whether tests and rows match."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from harness.bounded import Unreadable, read_toml
from harness.checkout import ROOT
from harness.errors import BadInput

PATH: Path = ROOT / "conformance" / "requirements.toml"
"""The register of this checkout."""

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4")
"""The versions of virtio that section numbers are given for."""

_ID = re.compile(r"[A-Z]+(-[A-Z]+)?-\d{2}")


class Force(StrEnum):
    """What a row asks of the VMM; explained at the top of requirements.toml."""

    MUST = "must"
    SHOULD = "should"
    MAY = "may"
    DESCRIPTIVE = "descriptive"
    QUALITY = "quality"
    PRODUCT = "product"


class Binds(StrEnum):
    """Whom a row's sentence binds."""

    DEVICE = "device"
    DRIVER = "driver"
    FRONT_END = "front-end"
    BACK_END = "back-end"
    KERNEL = "kernel"


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place in a document. `sections` gives its number per version of virtio, where it has one."""

    document: str
    title: str
    sections: dict[str, str] = {}
    link: str = ""


class Requirement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the register."""

    id: str
    source: tuple[str, ...]
    force: Force
    binds: Binds
    text: str
    provoke: str
    witness: str
    since: str = ""
    note: str = ""
    not_tested: str = ""

    @property
    def group(self) -> str:
        """The id without its number."""
        return self.id.rpartition("-")[0]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    groups: dict[str, str]
    sources: dict[str, Source]
    requirement: tuple[Requirement, ...]


@dataclass(frozen=True)
class Problem:
    """Tests and register do not match here. `kind` is for filtering, `text` for people."""

    kind: str
    """`unknown id`, `no row`, `no test`, or `contradiction`."""
    subject: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Register:
    """The register: rows by id in the file's order, the groups' titles, the sources by key."""

    rows: Mapping[str, Requirement]
    groups: Mapping[str, str]
    sources: Mapping[str, Source]

    def musts(self) -> list[Requirement]:
        """The MUST rows that tests are to cover: those without a reason for not being tested."""
        return [row for row in self.rows.values() if row.force is Force.MUST and not row.not_tested]

    def check(self, tests: Mapping[str, Collection[str]]) -> list[Problem]:
        """Compare with what tests name: test name -> ids. An empty list means that all is well."""
        named: dict[str, list[str]] = defaultdict(list)
        problems: list[Problem] = []
        for test, ids in tests.items():
            if not ids:
                problems.append(Problem("no row", test, f"{test} names no requirement"))
            for id_ in ids:
                named[id_].append(test)
                if id_ not in self.rows:
                    problems.append(
                        Problem("unknown id", id_, f"{test} names {id_}, which the register lacks")
                    )
        for row in self.rows.values():
            if not named[row.id] and not row.not_tested:
                text = f"{row.id} ({row.force}) is named by no test and gives no reason (not_tested)"
                problems.append(Problem("no test", row.id, text))
            if named[row.id] and row.not_tested:
                text = f"{row.id} says why it is not tested, but {named[row.id][0]} names it"
                problems.append(Problem("contradiction", row.id, text))
        return problems


def load_register(path: Path = PATH) -> Register:
    """Read and check the register. Raises BadInput with one sentence about the first thing wrong."""
    try:
        file = msgspec.convert(read_toml(path), _File)
    except Unreadable as error:
        raise BadInput(f"the register {path} {error}") from None
    except msgspec.ValidationError as error:
        raise BadInput(f"the register {path} has something wrong in it: {error}") from None
    if wrong := next(_wrong(file), None):
        raise BadInput(f"the register {path} has something wrong in it: {wrong}")
    return Register({row.id: row for row in file.requirement}, file.groups, file.sources)


def _wrong(file: _File) -> Iterator[str]:
    if file.schema != 1:
        yield f"schema {file.schema}, this version reads 1"
    for key, source in file.sources.items():
        if odd := set(source.sections) - set(VERSIONS):
            yield f"source {key} has sections for unknown versions {sorted(odd)}"
    seen: set[str] = set()
    for row in file.requirement:
        if not _ID.fullmatch(row.id):
            yield f"{row.id!r} is no id: it should look like NET-MQ-01"
        if row.id in seen:
            yield f"{row.id} is there twice"
        seen.add(row.id)
        if row.group not in file.groups:
            yield f"{row.id} belongs to the group {row.group}, which has no title in [groups]"
        if not row.source:
            yield f"{row.id} has no source"
        if lost := [key for key in row.source if key not in file.sources]:
            yield f"{row.id} cites {lost[0]!r}, which is not in [sources]"
        if row.since and row.since not in VERSIONS:
            yield f"{row.id} is said to hold since {row.since!r}, which is no version of virtio"
        if not all((row.text, row.provoke, row.witness)):
            yield f"{row.id} has an empty text, provoke or witness"
