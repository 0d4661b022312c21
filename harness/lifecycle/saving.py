"""Saving a VM and restoring it, on the same build or another."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import GuestError, HarnessError, Unavailable, VmmError
from harness.guest.probe.net import DriverState
from harness.host.syscalls import supervisor_of
from harness.host.syscalls.conditions import RESUMED
from harness.host.tap import HandedTap
from harness.lifecycle.guest import monitor_of, neighbours, unmap
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import Testbed
from harness.vmm.base import TapByFds, VmConfig, Vmm

FOLDER = "snapshot"
"""How the names of folders begin in which snapshots lie."""


@dataclass(frozen=True)
class Snapshot:
    """A saved VM: the folder that the VMM wrote, the VM's configuration, and what each NIC's driver knew then."""

    folder: Path
    config: VmConfig
    drivers: Mapping[str, DriverState]

    def discard(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.folder, ignore_errors=True)


MOST = 2
"""How much a test may have on the disk at a time, in sizes of its guest's memory."""


def require_room(folder: Path, memory_mib: int) -> None:
    """Raise Unavailable unless MOST times the guest's memory is free where `folder` is."""
    free, needed = shutil.disk_usage(folder).free >> 20, MOST * memory_mib
    if free < needed:
        raise Unavailable(
            f"snapshots need {needed} MiB in {folder}, and {free} MiB are free: make room, or point TMPDIR elsewhere"
        )


def snapshot_folders(folder: Path) -> list[Path]:
    """The snapshots that lie in a testbed's folder."""
    return list(folder.glob(f"{FOLDER}*"))


def save(bed: Testbed, nic: ProbeNic) -> Snapshot:
    """Pause the VM and write a snapshot of it. The VM stays paused."""
    nic.vm.pause()
    return save_paused(bed, nic)


def save_paused(bed: Testbed, nic: ProbeNic) -> Snapshot:
    """Write a snapshot of a VM that is paused. It is removed with the testbed, if not before.

    Raises HarnessError for one more than a test may keep: what it was granted is room for MOST.
    """
    kept = snapshot_folders(bed.folder)
    if len(kept) >= MOST:
        raise HarnessError(
            f"{len(kept)} snapshots lie in {bed.folder}: discard one before another is written"
        )
    folder = bed.fresh_folder(FOLDER)
    snapshot = Snapshot(folder, nic.vm.config, driver_states(bed, nic))
    bed.on_close(snapshot.discard)
    nic.vm.snapshot(folder)
    bed.journal.add("vmm", "paused and saved")
    return snapshot


def driver_states(bed: Testbed, nic: ProbeNic) -> dict[str, DriverState]:
    """What the drivers of the NIC's VM know now."""
    return {each.config.id: each.driver.net.driver_state() for each in neighbours(bed, nic)}


def restore(
    bed: Testbed,
    nic: ProbeNic,
    snapshot: Snapshot,
    *,
    vmm: Vmm | None = None,
    resume: bool = True,
    descriptors: int | None = None,
) -> None:
    """End the NIC's VM and go on from a snapshot of it, on the same build or another.

    Taps that were handed over as descriptors are opened anew, and handed over again: so many `descriptors` each,
    one per pair by default. Without `resume` the VM is left paused; `resume_restored` resumes it.
    """
    old, build = nic.vm, vmm or nic.vm.vmm
    nics = neighbours(bed, nic)
    old.stop()
    config = _with_fresh_descriptors(snapshot.config, nics, descriptors)
    new = build.restore(snapshot.folder, config, bed.fresh_launch())
    bed.adopt_vm(new)
    bed.journal.add("vmm", f"{build.name} restored the snapshot as process {new.pid}")
    for each in nics:
        each.vm = new
        each.backend.adopt()
    if resume:
        resume_restored(bed, nic, snapshot)


def _with_fresh_descriptors(config: VmConfig, nics: list[ProbeNic], count: int | None) -> VmConfig:
    fresh = {nic.config.id: nic.backend.renew() for nic in nics if isinstance(nic.backend, HandedTap)}
    handed = {name: TapByFds((tap.fds * 2)[: count or len(tap.fds)]) for name, tap in fresh.items()}
    configs = [replace(each, attachment=handed.get(each.id, each.attachment)) for each in config.nics]
    return replace(config, nics=tuple(configs))


def attempt(
    bed: Testbed, nic: ProbeNic, snapshot: Snapshot, *, descriptors: int | None = None
) -> VmmError | None:
    """Restore what may not be restored: how the VMM refused, or None if the VM runs.

    Raises AssertionError if the VMM went on, and its guest is no more.
    """
    try:
        restore(bed, nic, snapshot, descriptors=descriptors)
    except GuestError as lost:
        raise AssertionError(f"the VMM took what is damaged, and its guest was lost: {lost}") from lost
    except VmmError as refused:
        bed.journal.add("vmm", str(refused).splitlines()[0])
        return refused
    return None


def resume_restored(bed: Testbed, nic: ProbeNic, snapshot: Snapshot) -> None:
    """Resume a VM that was restored, and carry its drivers over."""
    nic.vm.resume()
    carry_over(bed, nic, snapshot.drivers)
    bed.journal.add("vmm", "resumed")


def carry_over(bed: Testbed, nic: ProbeNic, drivers: Mapping[str, DriverState]) -> None:
    """Let the drivers of the NIC's VM go on where they were."""
    if (supervisor := supervisor_of(nic.vm.process)) is not None:
        supervisor.mark(RESUMED)
    before = nic.driver.net.bus
    monitor = monitor_of(bed, nic.vm)
    for each in neighbours(bed, nic):
        each.driver.carry_over(monitor, drivers[each.config.id])
    unmap(before)


def save_and_restore(bed: Testbed, nic: ProbeNic) -> None:
    """The VM is saved and goes on in a new process; nothing of the snapshot is kept."""
    snapshot = save(bed, nic)
    restore(bed, nic, snapshot)
    snapshot.discard()


def save_and_resume(bed: Testbed, nic: ProbeNic) -> None:
    """The VM is saved and goes on in its own process; nothing of the snapshot is kept."""
    save(bed, nic).discard()
    nic.vm.resume()
