"""The table of public bugs: what was reported, which commit fixed it, and which tests have to catch it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.checkout import ROOT
from harness.errors import BadInput

TABLE = ROOT / "conformance" / "history.toml"


class Bug(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bug of cloud-hypervisor that has a fix in its history."""

    report: str
    """Where people find it: an issue, a pull request, or the commit itself."""
    fix: str
    before: str = ""
    """The commit that shows it; the fix's parent where none is named."""
    kind: str
    """Which kind of gap it stands for; see the head of the table."""
    fault: str
    """What went wrong, in a sentence."""
    tests: tuple[str, ...]
    """File and function, with or without parameters: one that is red before and green after catches it."""
    note: str = ""

    @property
    def shows(self) -> str:
        """The revision that shows it."""
        return self.before or f"{self.fix}^"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    kinds: dict[str, str]
    bug: tuple[Bug, ...]


def load_bugs(path: Path = TABLE) -> tuple[Bug, ...]:
    """The table, in its order. Raises BadInput for one that is damaged or contradicts itself."""
    try:
        table = msgspec.toml.decode(path.read_bytes(), type=_Table)
    except (OSError, msgspec.DecodeError) as error:
        raise BadInput(f"cannot read {path}: {error}") from None
    for bug in table.bug:
        if bug.kind not in table.kinds:
            raise BadInput(
                f"{path.name}: {bug.report} is of the kind {bug.kind!r}; there are {', '.join(table.kinds)}"
            )
        if not bug.tests:
            raise BadInput(f"{path.name}: {bug.report} names no test")
    return table.bug


def chosen(bugs: tuple[Bug, ...], names: list[str] | None) -> tuple[Bug, ...]:
    """Those with these fixes or reports; all without names. Raises BadInput for a name that fits none."""
    for name in names or ():
        if not any(name in (bug.fix, bug.report) for bug in bugs):
            raise BadInput(f"--only {name}: no bug in {TABLE.name} has this fix or report")
    return tuple(bug for bug in bugs if not names or {bug.fix, bug.report} & set(names))
