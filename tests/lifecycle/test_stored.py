"""A snapshot has the form of a legacy one, or it has not."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import BadInput
from harness.lifecycle import legacy_form, why_no_count
from harness.lifecycle.stored import read_forms
from harness.vmm.cloud_hypervisor_state import STATE, ComponentState

FIELDS = {"avail_features": 1, "acked_features": 1, "config": {}, "queue_size": [256]}


def _nic(kind: str = "cloud-hypervisor") -> Any:
    build = SimpleNamespace(
        kind=kind, name="base", recorded=lambda folder, nic: ComponentState(folder, nic.id).read()
    )
    return SimpleNamespace(config=SimpleNamespace(id="net0"), vm=SimpleNamespace(vmm=build))


def _snapshot(folder: Path, fields: dict[str, Any]) -> Any:
    nic = {"snapshots": {}, "snapshot_data": {"state": json.dumps(fields)}}
    (folder / STATE).write_text(json.dumps({"snapshots": {"device-manager": {"snapshots": {"net0": nic}}}}))
    for name in ("config.json", "memory-ranges"):
        (folder / name).touch()
    return SimpleNamespace(folder=folder)


def test_described_forms_are_found(tmp_path: Path) -> None:
    assert legacy_form(_nic(), _snapshot(tmp_path, FIELDS)) == "before-the-count"


@pytest.mark.parametrize("more", [{"active_pairs": 2}, {"any_other_name": None}])
def test_a_recorded_count_is_another_form(tmp_path: Path, more: dict[str, Any]) -> None:
    assert legacy_form(_nic(), _snapshot(tmp_path, FIELDS | more)) is None


def test_another_file_or_vmm_is_another_form(tmp_path: Path) -> None:
    snapshot = _snapshot(tmp_path, FIELDS)
    assert legacy_form(_nic("qemu"), snapshot) is None
    (tmp_path / "more").touch()
    assert legacy_form(_nic(), snapshot) is None


def test_a_damaged_description_is_told(tmp_path: Path) -> None:
    forms = tmp_path / "forms.toml"
    forms.write_text('[half]\nkind = "qemu"\n')
    with pytest.raises(BadInput, match=f"^{forms}: the form 'half' needs kind, files and fields"):
        read_forms(forms)
    forms.write_text("[half")
    with pytest.raises(BadInput, match=f"^{forms} "):
        read_forms(forms)


def test_build_without_a_count_is_told_from_one_whose_field_stands_still(tmp_path: Path) -> None:
    older, newer = tmp_path / "older", tmp_path / "newer"
    older.mkdir()
    newer.mkdir()
    assert why_no_count(_nic(), _snapshot(older, FIELDS)) == (
        "base records no count: its snapshots have the form 'before-the-count' of older builds"
    )
    said = why_no_count(_nic(), _snapshot(newer, FIELDS | {"active_pairs": 1}))
    assert said == (
        "no field that base saves of a NIC follows the count, and no older build wrote this form (acked_features, "
        "active_pairs, avail_features, config, queue_size): what a restore makes of it, the tests of the count's "
        "restore judge"
    )
