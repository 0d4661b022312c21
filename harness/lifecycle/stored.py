"""Forms of stored snapshots that are described in fixtures/snapshots, of which none is kept here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.bounded import Unreadable, read_toml
from harness.checkout import ROOT
from harness.errors import BadInput
from harness.lifecycle.saving import Snapshot
from harness.testbed.nic import ProbeNic

LEGACY = ROOT / "fixtures" / "snapshots" / "legacy.toml"


@dataclass(frozen=True)
class Form:
    """The files of a snapshot's folder, and the fields of a NIC's own state, of one kind of VMM."""

    name: str
    kind: str
    files: frozenset[str]
    fields: frozenset[str]


def read_forms(path: Path = LEGACY) -> tuple[Form, ...]:
    """The forms that a file describes. Raises BadInput, naming the form, for a description that is no such."""
    try:
        described = read_toml(path)
    except Unreadable as error:
        raise BadInput(f"{path} {error}") from None
    return tuple(_form(path, name, form) for name, form in described.items())


def _form(path: Path, name: str, form: Mapping[str, Any]) -> Form:
    try:
        return Form(name, form["kind"], frozenset(form["files"]), frozenset(form["fields"]))
    except (KeyError, TypeError) as error:
        raise BadInput(f"{path}: the form {name!r} needs kind, files and fields ({error})") from None


def legacy_form(nic: ProbeNic, snapshot: Snapshot) -> str | None:
    """The name of the legacy form that a snapshot of the NIC's VM has; None if it has none of them."""
    build = nic.vm.vmm
    files = frozenset(path.name for path in snapshot.folder.iterdir())
    fields = frozenset(build.recorded(snapshot.folder, nic.config))
    for form in read_forms():
        if (form.kind, form.files, form.fields) == (build.kind, files, fields):
            return form.name
    return None


def why_no_count(nic: ProbeNic, snapshot: Snapshot) -> str:
    """What there is to say of a build no field of whose snapshot follows the count, in one line."""
    name = nic.vm.vmm.name
    if (form := legacy_form(nic, snapshot)) is not None:
        return f"{name} records no count: its snapshots have the form {form!r} of older builds"
    fields = sorted(nic.vm.vmm.recorded(snapshot.folder, nic.config))
    return (
        f"no field that {name} saves of a NIC follows the count, and no older build wrote this form "
        f"({', '.join(fields)}): what a restore makes of it, the tests of the count's restore judge"
    )
