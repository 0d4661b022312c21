"""Skips that are accepted on this host: what it cannot run, so that it can be a gate for the rest."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import tomlkit

from harness.errors import BadInput
from harness.expected.baseline import masked, stated_reason
from harness.expected.compare import Finding, Kind
from harness.expected.toml_file import write_toml
from harness.record.results import JUDGED, Result, Run, Verdict


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    skips: tuple[str, ...]
    """Reasons, without what differs from run to run."""


def default_file() -> Path:
    """$XDG_CONFIG_HOME/virtio-net-mq/skips.toml, or that of ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(base) if base.startswith("/") else Path("~/.config").expanduser()
    return folder / "virtio-net-mq" / "skips.toml"


def accepted(file: Path) -> frozenset[str]:
    """The reasons that a host's file accepts; none without one. Raises BadInput for a damaged one."""
    try:
        return frozenset(msgspec.convert(tomllib.loads(file.read_text()), _File).skips)
    except FileNotFoundError:
        return frozenset()
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadInput(f"the accepted skips {file} have something wrong in them: {error}") from None


def accept(run: Run, file: Path) -> Sequence[str]:
    """Accept, on this host, whatever the run skipped from now on too. Returns the reasons that are new.

    Raises BadInput for a damaged file, Unavailable if it cannot be written.
    """
    before = accepted(file)
    new = sorted({_reason(r) for r in run.results if r.verdict is Verdict.SKIP} - before)
    if new:
        reasons = tomlkit.array()
        reasons.extend(sorted(before | set(new)))
        document = tomlkit.document()
        document.add(
            tomlkit.comment("Skips that are accepted on this host. A reason that goes is judged again.")
        )
        document["skips"] = reasons.multiline(True)
        write_toml(file, document)
    return new


def excused(run: Run, findings: Iterable[Finding], reasons: frozenset[str], file: Path) -> list[Finding]:
    """The findings without skips that are accepted, which are counted, and without what they alone cost."""
    skipped = {(r.vmm, r.test): r for r in run.results if r.verdict is Verdict.SKIP and _reason(r) in reasons}
    rows: dict[str, set[str]] = {}
    for result in skipped.values():
        rows.setdefault(result.vmm, set()).update(result.requirements)
    judged = {(r.vmm, row) for r in run.results if r.verdict in JUDGED for row in r.requirements}
    left = []
    for finding in findings:
        if finding.kind is Kind.LOST and (finding.vmm, finding.test) in skipped:
            continue
        if finding.kind is Kind.LOST and finding.rows:
            lost = [row for row in finding.rows if row not in rows.get(finding.vmm, ())]
            if not lost:
                continue
        left.append(finding)
    if skipped:
        unjudged = {row for vmm, mine in rows.items() for row in mine if (vmm, row) not in judged}
        text = f"{len(skipped)} skips for reasons that {file} accepts on this host"
        text += f"; not judged for them: {', '.join(sorted(unjudged))}" if unjudged else ""
        left.append(Finding(Kind.NOTE, "", "", text))
    return left


def _reason(result: Result) -> str:
    return masked(stated_reason(result))
