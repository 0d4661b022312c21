"""What happens to a device's life: transitions as data, each with what it must do to the count.

Each takes a NIC with the probe guest's driver through it. A guest that starts anew starts its driver anew, and
asks for no count; a guest that is carried over asks for nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from harness.guest.probe.bus import port_out
from harness.guest.probe.driver import ProbeDriver
from harness.guest.probe.monitor import Monitor
from harness.guest.probe.net import DriverMemory
from harness.nic import Nic
from harness.testbed import Testbed
from harness.vmm.base import Launch, Vm, Vmm

KEYBOARD_COMMAND, PULSE_RESET = 0x64, 0xFE
"""The keyboard controller's command port, and the command that resets a PC."""


class Effect(Enum):
    """What a transition does to the count."""

    KEEPS = "the count stays"
    ONE = "back to one pair"


@dataclass(frozen=True)
class Transition:
    """A named step in a device's life. `need` is what the host must be able to do (see Capabilities), if anything."""

    name: str
    effect: Effect
    run: Callable[[Testbed, Nic], None]
    need: str | None = None

    def expected(self, count: int) -> int:
        """The count after it, from the count before."""
        return count if self.effect is Effect.KEEPS else 1


def _probe_driver(nic: Nic) -> ProbeDriver:
    assert isinstance(nic.driver, ProbeDriver), "these transitions are the probe guest's"
    return nic.driver


def _monitor(bed: Testbed, vm: Vm) -> Monitor:
    """A fresh connection to the probe guest of a VM that was reset or restored.

    Memory is mapped after the guest has answered: until then the VMM may still hold what it is about to drop.
    """
    monitor = Monitor(vm.serial, None, vm.config.memory_mib << 20)
    memory = vm.guest_memory()
    bed.on_close(memory.close)
    monitor.memory = memory
    return monitor


def _neighbours(bed: Testbed, nic: Nic) -> list[Nic]:
    return [other for other in bed.nics if other.vm is nic.vm]


def reset_device(bed: Testbed, nic: Nic) -> None:
    """The driver resets the device and starts it anew."""
    nic.reset()


def pause_and_resume(bed: Testbed, nic: Nic) -> None:
    """The VM is paused and resumed."""
    nic.vm.pause()
    nic.vm.resume()
    bed.journal.add("vmm", "paused and resumed")


def reboot_by_vmm(bed: Testbed, nic: Nic) -> None:
    """The VMM resets the machine."""
    nic.vm.reboot()
    _after_reset(bed, nic, "the VMM reset the machine")


def reboot_by_guest(bed: Testbed, nic: Nic) -> None:
    """The guest resets the machine through the keyboard controller."""
    net = _probe_driver(nic).net
    assert isinstance(net.bus, Monitor)
    net.bus.run_last([port_out(1, KEYBOARD_COMMAND, PULSE_RESET)])
    _after_reset(bed, nic, "the guest reset the machine")


def _after_reset(bed: Testbed, nic: Nic, told: str) -> None:
    nic.vm.await_reset()
    monitor = _monitor(bed, nic.vm)
    bed.journal.add("vmm", told)
    for each in _neighbours(bed, nic):
        _probe_driver(each).begin_anew(monitor)
        each.start()


@dataclass(frozen=True)
class Snapshot:
    """A saved VM: the folder that the VMM wrote, and what each NIC's driver knew at that moment."""

    folder: Path
    drivers: Mapping[str, DriverMemory]


def save(bed: Testbed, nic: Nic) -> Snapshot:
    """Pause the VM and write a snapshot of it. The VM stays paused."""
    folder = bed.fresh_folder("snapshot")
    nic.vm.pause()
    nic.vm.snapshot(folder)
    bed.journal.add("vmm", "paused and saved")
    return Snapshot(folder, _knowledge(bed, nic))


def _knowledge(bed: Testbed, nic: Nic) -> dict[str, DriverMemory]:
    return {each.config.id: bed.raw(each).memory_of_now() for each in _neighbours(bed, nic)}


def restore(
    bed: Testbed, nic: Nic, snapshot: Snapshot, *, vmm: Vmm | None = None, resume: bool = True
) -> None:
    """End the NIC's VM and go on from a snapshot of it, on the same build or another.

    Without `resume` the VM is left paused; `go_on` resumes it.
    """
    old, build = nic.vm, vmm or nic.vm.vmm
    nics = _neighbours(bed, nic)
    old.stop()
    new = build.restore(snapshot.folder, old.config, Launch(bed.fresh_folder("vm"), bed.syscalls))
    bed.take_in(new)
    bed.journal.add("vmm", f"{build.name} restored the snapshot as process {new.pid}")
    for each in nics:
        each.vm = new
    if resume:
        go_on(bed, nic, snapshot)


def go_on(bed: Testbed, nic: Nic, snapshot: Snapshot) -> None:
    """Resume a VM that was restored, and carry its drivers over."""
    nic.vm.resume()
    monitor = _monitor(bed, nic.vm)
    for each in _neighbours(bed, nic):
        _probe_driver(each).carry_over(monitor, snapshot.drivers[each.config.id])
    bed.journal.add("vmm", "resumed")


def save_and_restore(bed: Testbed, nic: Nic) -> None:
    """The VM is saved and goes on in a new process."""
    restore(bed, nic, save(bed, nic))


TRANSITIONS = (
    Transition("device-reset", Effect.ONE, reset_device),
    Transition("guest-reboot", Effect.ONE, reboot_by_guest),
    Transition("vmm-reboot", Effect.ONE, reboot_by_vmm),
    Transition("pause-and-resume", Effect.KEEPS, pause_and_resume),
    Transition("snapshot-and-restore", Effect.KEEPS, save_and_restore, need="snapshot"),
)
"""The transitions that every VMM knows."""
