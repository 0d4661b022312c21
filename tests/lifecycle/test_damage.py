"""Damage hits what it says, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.host.tap import Tap, VmmTap
from harness.lifecycle import DAMAGES, save
from harness.lifecycle import damage as damage_module
from harness.vmm.abilities import OfKind
from harness.vmm.find import KINDS
from tests.lifecycle.simulated import a_testbed

BY_NAME = {damage.name: damage for damage in DAMAGES if not damage.needs}


@pytest.mark.parametrize(("name", "pairs"), [("fewer-pairs-configured", 2), ("more-pairs-configured", 8)])
def test_other_number_of_pairs_is_configured_for_that_nic_alone(
    tmp_path: Path, name: str, pairs: int
) -> None:
    bed, nic, _ = a_testbed(tmp_path)
    snapshot = save(bed, nic)
    first, second = snapshot.config.nics
    changed = replace(first, pairs=pairs)
    for apply in (BY_NAME[name].apply, damage_module._configured_pairs(pairs)):
        damaged = apply(bed, nic, snapshot)
        assert damaged == replace(snapshot, config=replace(snapshot.config, nics=(changed, second)))
        assert bed.vmm.told.pop() == (snapshot.folder, changed)


@pytest.mark.parametrize(
    ("name", "kind", "pairs"), [("tap-single-queue", "Tap", 1), ("tap-gone", "VmmTap", 4)]
)
def test_tap_is_replaced_by_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str, pairs: int
) -> None:
    told: list[str] = []

    class Made:
        def __init__(self, name: str, pairs: int) -> None:
            told.append(f"{name} made for {pairs}, the VM {nic.vm.status}")

        def close(self) -> None:
            told.append("closed")

    bed, nic, other = a_testbed(tmp_path)
    snapshot, old = save(bed, nic), nic.backend
    monkeypatch.setattr(old, "remove", lambda: told.append("old one removed"))
    monkeypatch.setattr(damage_module, kind, Made)
    assert BY_NAME[name].apply(bed, nic, snapshot) is snapshot
    assert told == ["old one removed", f"tap0 made for {pairs}, the VM ended"]
    assert isinstance(nic.backend, Made)
    assert (old.closed, other.backend.closed) == (1, 0)
    bed.close()
    assert told[2:] == ["closed"]
    assert issubclass(VmmTap, Tap)


def test_each_kind_of_vmm_has_its_files_spoilt(tmp_path: Path) -> None:
    spoilt: list[Any] = []
    apply = damage_module._to_files(spoilt.append)
    bed, nic, _ = a_testbed(tmp_path)
    snapshot = save(bed, nic)
    assert apply(bed, nic, snapshot) is snapshot
    assert spoilt == [snapshot.folder]
    assert {need.kind for damage in DAMAGES for need in damage.needs if isinstance(need, OfKind)} == {
        kind.kind for kind in KINDS if kind.state_damages
    }
