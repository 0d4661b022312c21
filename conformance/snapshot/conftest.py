"""What the tests of a VM's life share: room on the disk, and a VM that begins its life on another build."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.lifecycle import (
    Snapshot,
    check_receives,
    count_fields,
    require_room,
    restore,
    save,
    snapshot_folders,
    why_no_count,
)
from harness.testbed.nic import Nic, ProbeNic
from harness.testbed.testbed import PROBE_MEMORY_MIB, NicPlan, Testbed
from harness.vmm.base import Vmm


@pytest.fixture
def cleared() -> Iterator[list[Path]]:
    """Folders of testbeds: once these are gone, no snapshot is left, however the test ended."""
    folders: list[Path] = []
    yield folders
    left = [snapshot for folder in folders for snapshot in snapshot_folders(folder)]
    assert not left


@pytest.fixture(autouse=True)
def room(cleared: list[Path], testbed: Testbed) -> None:
    """Twice the guest's memory is free for snapshots, and nothing of them will be left."""
    require_room(testbed.folder, PROBE_MEMORY_MIB)
    cleared.append(testbed.folder)


@pytest.fixture
def nic_of_writer(testbed: Testbed, writer: Vmm, driver: str, backend: str) -> Nic:
    """As `nic`, in a VM that begins its life on the writer's build, as all VMs of a test with a writer do."""
    return testbed.nic(NicPlan(), driver, backend)


@pytest.fixture
def recorded_count(testbed: Testbed, nic: ProbeNic) -> tuple[str, ...]:
    """The fields of the NIC's saved state that follow the count. Skips on a build that records none."""
    fields = count_fields(testbed, nic)
    if not fields:
        pytest.skip(why_no_count(nic, save(testbed, nic)))
    return fields


@pytest.fixture
def snapshot_of_two(testbed: Testbed, nic: ProbeNic) -> Snapshot:
    """A snapshot with two active pairs, from which the VM went on once: it is sound."""
    assert nic.set_pairs(2)
    snapshot = save(testbed, nic)
    restore(testbed, nic, snapshot)
    check_receives(nic)
    return snapshot
