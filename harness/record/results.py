"""What a run found: typed records, and the one place where their file format is known (schema 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from harness.bounded import MIB, Unreadable, parse_json, read_file
from harness.errors import BadInput
from harness.printable import all_printable
from harness.record import schema1

SCHEMA = 2


LIMIT = 512 * MIB
"""Of a results file. Those of the whole suite on three VMMs have some 10 MiB."""

Pair = Annotated[int, msgspec.Meta(ge=0, lt=1 << 15)]
"""A device has 32768 pairs at most (virtio 1.2, 5.1.4.1)."""
Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
"""virtqueue_pairs has 16 bits."""
Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
Seconds = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]


class Verdict(StrEnum):
    """What a test found out about a VMM. `error`: the test itself could not judge."""

    PASS = "pass"
    FAIL = "fail"
    XFAIL = "xfail"
    XPASS = "xpass"
    SKIP = "skip"
    ERROR = "error"

    @property
    def is_bad(self) -> bool:
        """Whether somebody has to look at it."""
        return self in (Verdict.FAIL, Verdict.XPASS, Verdict.ERROR)


JUDGED = (Verdict.PASS, Verdict.FAIL, Verdict.XFAIL, Verdict.XPASS)
"""A skip or an error covers nothing: nobody looked."""


class PairRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the witnesses say of one pair. None: this witness was not asked, or cannot tell."""

    pair: Pair
    guest: bool | None = None
    """Whether the guest was told that the pair is active."""
    host: bool | None = None
    """Whether the host holds it active: tap queue attached, or vrings enabled."""
    frames: Number | None = None
    """Frames that landed on its receiveq."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a test's timeline."""

    at: Seconds
    """Seconds since the test began, on the host's monotonic clock."""
    source: str
    """Who says so: `guest`, `vmm`, `syscall`, `netlink`, `vhost-user`, `frames`, `test`."""
    text: str
    pair: Pair | None = None
    """The pair this line is about."""
    frames: Number | None = None
    """With `pair`: frames that landed on it since the line before."""
    pairs: Count | None = None
    """The count of active pairs from here on, as this source says."""


NO_WRITER = "none"
"""What stands for the writer of a test for which no older build was given."""


class Function(NamedTuple):
    """A test function: what all the variants of a test have in common."""

    file: str
    name: str

    def __str__(self) -> str:
        return f"{self.file}::{self.name}"


class Case(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A test on a VMM: which it is, as data. Nobody needs to read it out of an id."""

    test: str
    """pytest's node id without the VMM, so that it is the same on every VMM."""
    file: str
    """Relative to where pytest's configuration is."""
    function: str
    """With its classes, if it is in any: `TestA::test_b`."""
    parameters: Mapping[str, str]
    """What it is crossed with but for the VMM, each parameter in the word that pytest's id has for it."""
    vmm: str
    """The VMM's name in the matrix."""

    @property
    def origin(self) -> Function:
        """The function of which it is a variant."""
        return Function(self.file, self.function)

    @property
    def variant(self) -> str:
        """What its id has in brackets, with them; empty for a test without parameters."""
        return self.test.removeprefix(str(self.origin))

    @property
    def driver(self) -> str | None:
        """`probe`, `linux`, `firmware`, or None where the test has none."""
        return self.parameters.get("driver")

    @property
    def backend(self) -> str | None:
        """`tap`, `vhost-user`, ..., or None where the test has none."""
        return self.parameters.get("backend")


class NotRun(Case, frozen=True):
    """A test that was selected for a VMM and never began."""


class Result(Case, frozen=True, kw_only=True, omit_defaults=True):
    """One test on one VMM. The first ten keys are always in the file, the others if they say something."""

    version: str
    """What the VMM says of itself."""
    requirements: tuple[str, ...]
    """Ids of conformance/requirements.toml."""
    verdict: Verdict
    seconds: Seconds
    reason: str
    """One line: why it is not a plain pass; empty for one."""

    key: str = ""
    """What a failure is, in words that are the same whenever it happens again; empty for anything else."""
    issues: tuple[str, ...] = ()
    """Numbers of the tracker's issues that the test reproduces (`issue_8306` is 8306)."""
    disagreement: bool = False
    """Two witnesses contradict each other, whatever the verdict."""
    details: str = ""
    """The failure as pytest shows it."""
    witnesses: tuple[PairRow, ...] = ()
    timeline: tuple[Event, ...] = ()
    rerun: str = ""
    """The shell line that runs this again."""
    bundle: str = ""
    """Folder of the failure bundle, relative to the run's folder."""
    seed: int | None = None
    lab: str = ""
    """What the lab's machine is, for a test that ran there; empty for one that ran on this host."""

    @property
    def needs_a_look(self) -> bool:
        """Whether reports give it a section of its own."""
        return self.verdict.is_bad or self.disagreement


class VmmInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column of the matrix."""

    name: str
    kind: str
    version: str
    path: str = ""
    sha256: str = ""
    """Of the binary: builds of one version need not be the same."""


class Shard(msgspec.Struct, frozen=True):
    """Which share of the suite a run was about (`--shard`), and what the whole is."""

    number: int
    of: int
    tests: int
    """How many the whole suite has, one per VMM."""
    digest: str
    """Of their names: shards of one suite have the same."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the suite, as `results.json` holds it."""

    schema: int = SCHEMA
    host: Mapping[str, Any] = {}
    """Facts about the machine, fit to be shown as they are."""
    vmms: tuple[VmmInfo, ...] = ()
    results: tuple[Result, ...] = ()
    started: str = ""
    """UTC, ISO 8601."""
    finished: str = ""
    command: tuple[str, ...] = ()
    """The command line, one argument each."""
    complete: bool = False
    """Whether the run ended by itself: not interrupted, not stopped at the first failure."""
    selected: int = 0
    """How many tests the run set out to do, one per VMM."""
    deselected: int = 0
    """How many it left out because it was asked to (`-k`, `-m`)."""
    not_run: tuple[NotRun, ...] = ()
    folder: str = ""
    """The run's folder, relative to the report folder. `Result.bundle` is relative to it."""
    shard: Shard | None = None
    """None if the run was about the whole suite. A shard alone is never the whole suite: see merge.py."""

    narrowed: bool = False
    """Whether its command line chose tests."""

    @property
    def is_part(self) -> bool:
        """Whether it set out for less than the whole suite."""
        return bool(self.narrowed or self.deselected or self.shard)

    @property
    def everything_ran(self) -> bool:
        """Whether every test of the suite has a verdict, be it a skip."""
        return self.complete and not self.is_part and not self.not_run and len(self.results) >= self.selected

    def names(self) -> tuple[str, ...]:
        """The VMMs' names in the order given, then those that only results name."""
        return tuple(dict.fromkeys([v.name for v in self.vmms] + [r.vmm for r in self.results]))


def utc_now() -> str:
    """Now, in UTC, as `Run.started` holds it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def to_dict(result: Result) -> dict[str, Any]:
    """A result as plain dicts, lists and numbers: for xdist's wire. What others wrote in it is made printable."""
    plain: dict[str, Any] = all_printable(msgspec.to_builtins(result))
    return plain


def from_dict(plain: Mapping[str, Any]) -> Result:
    """The other way round. Raises BadInput if it is not a result."""
    try:
        return msgspec.convert(plain, Result)
    except msgspec.ValidationError as error:
        raise BadInput(f"not a result: {error}") from None


def dumps(run: Run) -> bytes:
    """The file's content: JSON, indented, readable by people."""
    return msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n"


def loads(content: bytes, where: str) -> Run:
    """Read a file's content; `where` names it in errors. Raises BadInput."""
    try:
        plain = all_printable(parse_json(content))
    except Unreadable as error:
        raise BadInput(
            f"{where} {error}: it was cut short or is no results file; "
            "earlier runs are in the folder runs/ beside it"
        ) from None
    if not isinstance(plain, dict) or "schema" not in plain or "results" not in plain:
        raise BadInput(f"{where} is JSON but no results file of this suite: it has no 'schema' and 'results'")
    if plain["schema"] == schema1.SCHEMA:
        plain = schema1.upgraded(plain)
    if plain["schema"] != SCHEMA:
        raise BadInput(
            f"{where} has schema {plain['schema']!r}, this version reads {SCHEMA} and {schema1.SCHEMA}: "
            "use the version of the suite that wrote it, or run again"
        )
    try:
        run = msgspec.convert(plain, Run)
    except msgspec.ValidationError as error:
        raise BadInput(f"{where} is a results file with something wrong in it: {error}") from None
    for folder in (run.folder, *(result.bundle for result in run.results)):
        if Path(folder).is_absolute() or ".." in Path(folder).parts:
            raise BadInput(
                f"{where} names a folder outside of its own, {folder!r}: nothing is read from there"
            )
    return run


def load(path: Path) -> Run:
    """Read a results file, or the newest one of a report folder. Raises BadInput."""
    file = path / "results.json" if path.is_dir() else path
    try:
        content = read_file(file, LIMIT)
    except Unreadable as error:
        raise BadInput(f"{file} {error}; a run writes it into its --report folder") from None
    return loads(content, str(file))


def bundle_folder(results: Path, run: Run, result: Result) -> Path | None:
    """Where the failure bundle of `result` lies, or None; `results` is the file that `run` was read from.

    Raises BadInput for one that lies elsewhere than beside the results.
    """
    if not result.bundle:
        return None
    for base in _bundle_bases(results, run):
        folder = base / result.bundle
        if folder.is_dir():
            if not folder.resolve().is_relative_to(base.resolve()):
                raise BadInput(
                    f"the bundle {folder} is a link to {folder.resolve()}: nothing is read from there"
                )
            return folder
    return None


def _bundle_bases(results: Path, run: Run) -> Sequence[Path]:
    beside = results if results.is_dir() else results.parent
    return [beside, beside / run.folder] if run.folder else [beside]
