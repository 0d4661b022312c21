"""What snapshots may cost while a test runs."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import HarnessError, Unavailable
from harness.lifecycle import require_room, save, snapshot_folders
from harness.lifecycle.guest import unmap
from harness.vmm.memory import MappedMemory


def test_a_third_snapshot_is_refused(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"snapshot{number}").mkdir()
    bed: Any = SimpleNamespace(folder=tmp_path)
    nic: Any = SimpleNamespace(vm=SimpleNamespace(pause=lambda: None))
    with pytest.raises(HarnessError, match=r"2 snapshots lie in .*: discard one"):
        save(bed, nic)
    assert len(snapshot_folders(tmp_path)) == 2


def test_room_is_checked(tmp_path: Path) -> None:
    require_room(tmp_path, 1)
    with pytest.raises(Unavailable, match="make room, or point TMPDIR elsewhere"):
        require_room(tmp_path, 1 << 40)


def test_memory_of_a_guest_that_is_no_more_is_unmapped() -> None:
    fd = os.memfd_create("guest")
    os.ftruncate(fd, 4096)
    bus: Any = SimpleNamespace(memory=MappedMemory(fd, 4096))
    os.close(fd)
    bus.memory.write(0, b"there")
    unmap(bus)
    with pytest.raises(ValueError, match="released"):
        bus.memory.read(0, 5)
    bus.memory.close()  # the testbed does, again
