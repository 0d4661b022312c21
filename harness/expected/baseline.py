"""Expectations: which tests are known to be red, or skipped, on which builds, and why. Kept in ci/baselines/."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import msgspec

from harness.bounded import TOML_LIMIT, Unreadable, read_file, read_toml
from harness.checkout import ROOT
from harness.errors import BadInput
from harness.record.results import Result, Verdict, VmmInfo

FOLDER: Path = ROOT / "ci" / "baselines"
"""The baselines of this checkout."""


class Outcome(StrEnum):
    """What can be expected of a test. An error judges nothing, and an unexpected pass is unexpected by name."""

    PASS = "pass"
    DISAGREE = "disagree"
    """It passes, and two witnesses contradict each other. A failure is another thing, and worse."""
    FAIL = "fail"
    XFAIL = "xfail"
    SKIP = "skip"
    RACE = "race"
    """One of several outcomes, as chance has it: they are listed, each with its share of the runs that were seen."""


@lru_cache(maxsize=4096)
def _pattern(glob: str) -> re.Pattern[str]:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in glob)
    return re.compile("".join(parts), re.DOTALL)


def matches(glob: str, text: str) -> bool:
    """Whether a pattern covers all of a text. `*` and `?` are special; brackets are not: test ids have them."""
    return _pattern(glob).fullmatch(text) is not None


def masked(reason: str) -> str:
    """A reason without what differs from run to run.

    Gone are numbers, lists of numbers, addresses, what was last seen, and what the suite was doing when a VMM
    died: which of its steps notices first is a race.
    """
    text = re.sub(r"(?<=\)) while .*|; (its )?last (words|seen).*", "", reason, flags=re.DOTALL)
    text = re.sub(r"0x[0-9a-fA-F]+|\b\d+(\.\d+)?\b", "#", text)
    return re.sub(r"#(, ?#)+", "#", text)


def stated_reason(result: Result) -> str:
    """What a result says of itself: its reason, or that its witnesses disagree."""
    return result.reason or ("witnesses disagree" if result.disagreement else "no reason given")


def key_of(result: Result) -> str:
    """What a result is compared by: its key, or its reason as far as that is the same from run to run.

    How the run calls its VMM is no part of it: `late: the VMM to answer vm.pause`.
    """
    key = result.key or masked(stated_reason(result))
    names = {result.vmm, re.sub("[0-9]+", "#", result.vmm), masked(result.vmm)}  # a key may have no numbers
    return re.sub(rf"(?<!\w)({'|'.join(map(re.escape, names))})(?!\w)", "the VMM", key)


def is_red(result: Result) -> bool:
    """Whether it fails, or passes with witnesses that contradict each other."""
    return result.verdict in (Verdict.FAIL, Verdict.XFAIL) or is_disagreement(result)


def is_disagreement(result: Result) -> bool:
    """Whether it passes, and its witnesses contradict each other."""
    return result.verdict in (Verdict.PASS, Verdict.XPASS) and result.disagreement


def known_by(result: Result) -> str:
    """Its outcome among those of a race: `pass`, `disagree`, or `fail: ` and its key."""
    if result.verdict is Verdict.FAIL:
        return f"{Outcome.FAIL}: {key_of(result)}"
    return Outcome.DISAGREE if is_disagreement(result) else str(result.verdict)


class Build(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which builds a file is about: patterns, of which those given must all match."""

    kind: str = ""
    version: str = ""
    name: str = ""

    def covers(self, vmm: VmmInfo) -> bool:
        """Whether a VMM of a run is such a build."""
        pairs = ((self.kind, vmm.kind), (self.version, vmm.version), (self.name, vmm.name))
        return all(matches(glob, text) for glob, text in pairs if glob)


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Tests that are expected to end otherwise than by passing, and why."""

    tests: tuple[str, ...]
    """Patterns of test ids, without the VMM."""
    verdict: Outcome
    reason: str
    """Why this is so, for people."""
    link: str = ""
    seen: str = ""
    """A pattern of what the result is known by (see `known_by`); empty for any."""
    outcomes: dict[str, float] = {}
    """Of a race: patterns of what results are known by, each with its share of the runs that were seen."""

    def covers(self, result: Result) -> bool:
        """Whether it is about this test."""
        return any(matches(glob, result.test) for glob in self.tests)

    def fits(self, result: Result) -> bool:
        """Whether the result is what is expected, and not only of the same verdict."""
        if self.verdict is Outcome.RACE:
            return any(matches(pattern, known_by(result)) for pattern in self.outcomes)
        return not self.seen or matches(self.seen, key_of(result))


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One file of ci/baselines/."""

    schema: int
    build: Build
    requirements: tuple[str, ...] = ()
    """Rows of the register that this build was judged by: fewer is lost coverage."""
    expect: tuple[Expectation, ...] = ()


def load_baseline(path: Path) -> Baseline:
    """Read one file. Raises BadInput with one sentence."""
    try:
        baseline = msgspec.convert(read_toml(path), Baseline)
    except Unreadable as error:
        raise BadInput(f"the baseline {path} {error}") from None
    except msgspec.ValidationError as error:
        raise BadInput(f"the baseline {path} has something wrong in it: {error}") from None
    if baseline.schema != 1:
        raise BadInput(f"the baseline {path} has schema {baseline.schema}, this version reads 1")
    if baseline.build == Build():
        raise BadInput(f"the baseline {path} says in [build] neither kind nor version nor name of its builds")
    for number, expectation in enumerate(baseline.expect, 1):
        if (expectation.verdict is Outcome.RACE) != bool(expectation.outcomes):
            raise BadInput(f"the baseline {path} has a race without outcomes, or outcomes without a race")
        if not expectation.tests or not expectation.reason.strip():
            raise BadInput(f"the baseline {path} has no tests or no reason in its entry {number}")
    return baseline


def load_baselines(folder: Path) -> dict[Path, Baseline]:
    """All files of a folder, by path in order of their names. Raises BadInput, also if there is no such folder."""
    return {path: load_baseline(path) for path in _files(folder)}


def load_about(folder: Path, vmms: Iterable[VmmInfo]) -> dict[Path, Baseline]:
    """As `load_baselines`, but only those that are about one of these VMMs: the others are not read to their end."""
    seen = list(vmms)
    about = [path for path in _files(folder) if any(map(_build_of(path).covers, seen))]
    return {path: load_baseline(path) for path in about}


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir() and folder != FOLDER:
        raise BadInput(f"there is no folder {folder} of baselines")
    return sorted(folder.glob("*.toml"))


def _build_of(path: Path) -> Build:
    """Which builds a file is about, from what stands before its first expectation."""
    try:
        head = read_file(path, TOML_LIMIT).decode().partition("\n[[")[0]
        return msgspec.convert(tomllib.loads(head)["build"], Build)
    except (Unreadable, ValueError, KeyError, RecursionError):
        return load_baseline(path).build  # which says what is wrong with it


def for_vmm(baselines: dict[Path, Baseline], vmm: VmmInfo) -> dict[Path, Baseline]:
    """Those that are about this VMM."""
    return {path: baseline for path, baseline in baselines.items() if baseline.build.covers(vmm)}


def expectation_for(expectations: Sequence[Expectation], result: Result) -> Expectation | None:
    """The first that is about this test."""
    return next((expectation for expectation in expectations if expectation.covers(result)), None)
