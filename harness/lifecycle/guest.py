"""The probe guest's side of a transition: who is in the VM, and how its drivers get there again."""

from __future__ import annotations

from harness.guest.probe.bus import Bus
from harness.guest.probe.monitor import Monitor
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import Testbed
from harness.vmm.base import Vm
from harness.vmm.memory import GuestMemory


def monitor_of(bed: Testbed, vm: Vm) -> Monitor:
    """A fresh connection to the probe guest of a VM that was reset, restored or migrated.

    Memory is mapped after the guest has answered: until then the VMM may still hold what it is about to drop.
    """
    monitor = Monitor(vm.serial, None, vm.config.memory_mib << 20)
    memory = vm.guest_memory()
    bed.on_close(memory.close)
    monitor.memory = memory
    return monitor


def unmap(bus: Bus) -> None:
    """Unmap the memory of a guest that is no more: mapped, it would stay allocated until the test ends."""
    if isinstance(bus.memory, GuestMemory):
        bus.memory.close()


def neighbours(bed: Testbed, nic: ProbeNic) -> list[ProbeNic]:
    """The NICs of the NIC's VM, itself included."""
    return [other for other in bed.probe_driven if other.vm is nic.vm]
