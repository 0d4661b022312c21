"""What snapshots may cost while a test runs, and what is restored from them."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import GuestError, HarnessError, Unavailable, VmmDied, VmmError
from harness.lifecycle import (
    attempt,
    require_room,
    restore,
    resume_restored,
    save,
    save_and_resume,
    save_paused,
    snapshot_folders,
)
from harness.lifecycle.guest import unmap
from harness.vmm.base import TapByFds
from harness.vmm.memory import MappedMemory
from tests.lifecycle.simulated import Build, HandedPlug, a_testbed


def test_a_third_snapshot_is_refused(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"snapshot{number}").mkdir()
    bed: Any = SimpleNamespace(folder=tmp_path)
    nic: Any = SimpleNamespace(vm=SimpleNamespace(pause=lambda: None))
    with pytest.raises(HarnessError, match=r"2 snapshots lie in .*: discard one"):
        save(bed, nic)
    assert len(snapshot_folders(tmp_path)) == 2


@pytest.mark.parametrize(("free", "enough"), [(128 << 20, True), ((128 << 20) - 1, False)])
def test_room_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, enough: bool) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: {tmp_path: SimpleNamespace(free=free)}[path])
    if enough:
        require_room(tmp_path, 64)
    else:
        with pytest.raises(Unavailable) as missing:
            require_room(tmp_path, 64)
        assert str(missing.value) == (
            f"snapshots need 128 MiB in {tmp_path}, and 127 MiB are free: make room, or point TMPDIR elsewhere"
        )


def test_snapshot_knows_what_there_was(tmp_path: Path) -> None:
    bed, nic, _ = a_testbed(tmp_path)
    snapshot = save(bed, nic)
    assert snapshot.config == nic.vm.config
    drivers: dict[str, Any] = {**snapshot.drivers}
    assert drivers == {"net0": 3, "net1": 2}
    assert nic.vm.status == "paused"
    assert snapshot_folders(tmp_path) == [snapshot.folder]
    bed.close()
    assert not snapshot.folder.exists(), "it is removed with the testbed"
    snapshot.discard()  # it is gone: no error


@pytest.mark.usefixtures("simulated_guests")
def test_snapshot_is_removed_and_the_vm_goes_on(tmp_path: Path) -> None:
    bed, nic, other = a_testbed(tmp_path)
    save_and_resume(bed, nic)
    assert nic.vm.status == "running"
    assert snapshot_folders(tmp_path) == []
    assert (len(nic.host().pairs), len(other.host().pairs)) == (3, 2)


@pytest.mark.usefixtures("simulated_guests")
def test_another_build_goes_on_from_a_snapshot(tmp_path: Path) -> None:
    bed, nic, other = a_testbed(tmp_path)
    older: Any = Build(tmp_path / "older", bed.vmm.machines)
    snapshot = save(bed, nic)
    restore(bed, nic, snapshot, vmm=older, resume=False)
    assert (nic.vm.vmm, nic.vm.status) == (older, "paused")
    assert other.vm is nic.vm
    assert nic.backend.adopted == other.backend.adopted == 1
    assert nic.vm in bed.vms, "it is shown if the test fails"
    assert not nic.driver.net.bus.live
    resume_restored(bed, nic, snapshot)
    assert nic.vm.status == "running"
    assert nic.driver.net.bus.live
    assert [event.text for event in bed.journal.events if event.source == "vmm"] == [
        *("paused and saved", f"older restored the snapshot as process {nic.vm.pid}", "resumed"),
    ]


@pytest.mark.usefixtures("simulated_guests")
@pytest.mark.parametrize(
    ("descriptors", "fds"),
    [(None, (104, 105, 106, 107)), (2, (104, 105)), (6, (104, 105, 106, 107, 104, 105))],
)
def test_descriptors_are_handed_over_anew(
    tmp_path: Path, descriptors: int | None, fds: tuple[int, ...]
) -> None:
    bed, nic, _ = a_testbed(tmp_path, plug=HandedPlug)
    assert attempt(bed, nic, save(bed, nic), descriptors=descriptors) is None
    assert [each.attachment for each in nic.vm.config.nics] == [TapByFds(fds)] * 2
    assert nic.vm.status == "running"


@pytest.mark.usefixtures("simulated_guests")
def test_tap_by_its_name_stays_what_it_was(tmp_path: Path) -> None:
    bed, nic, _ = a_testbed(tmp_path)
    before = nic.vm.config
    assert attempt(bed, nic, save(bed, nic)) is None
    assert nic.vm.config == before


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            VmmError("base refused vm.restore (HTTP 500): no\nand more"),
            "base refused vm.restore (HTTP 500): no",
        ),
        (VmmDied("base died", 1), "base died"),
    ],
)
def test_refusal_to_restore_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: VmmError, told: str
) -> None:
    def refuse(*_: object) -> None:
        raise error

    bed, nic, _ = a_testbed(tmp_path)
    snapshot = save(bed, nic)
    monkeypatch.setattr(nic.vm.vmm, "restore", refuse)
    assert attempt(bed, nic, snapshot) is error
    assert (bed.journal.events[-1].source, bed.journal.events[-1].text) == ("vmm", told)


@pytest.mark.usefixtures("simulated_guests")
def test_guest_that_is_lost_in_a_restore_accuses_the_vmm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise GuestError("the probe guest faulted")

    bed, nic, _ = a_testbed(tmp_path)
    monkeypatch.setattr(nic.driver, "carry_over", lost)
    with pytest.raises(
        AssertionError, match="took what is damaged, and its guest was lost: the probe guest faulted"
    ):
        attempt(bed, nic, save(bed, nic))


def test_vm_that_is_paused_already_can_be_saved(tmp_path: Path) -> None:
    bed, nic, _ = a_testbed(tmp_path)
    nic.vm.pause()
    assert save_paused(bed, nic).folder.is_dir()


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
