"""The probe guest's side of a transition: who is in the VM, and how its drivers get there again."""

from __future__ import annotations

from harness.guest.probe.bus import Bus
from harness.guest.probe.monitor import Monitor, connect
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import Testbed
from harness.vmm.base import Vm
from harness.vmm.memory import GuestMemory


def monitor_of(bed: Testbed, vm: Vm) -> Monitor:
    """A fresh connection to the probe guest of a VM that was reset, restored or migrated."""
    monitor, memory = connect(vm)
    bed.on_close(memory.close)
    return monitor


def unmap(bus: Bus) -> None:
    """Unmap the memory of a guest that is no more: mapped, it would stay allocated until the test ends."""
    if isinstance(bus.memory, GuestMemory):
        bus.memory.close()


def neighbours(bed: Testbed, nic: ProbeNic) -> list[ProbeNic]:
    """The NICs of the NIC's VM, itself included."""
    return [other for other in bed.probe_driven if other.vm is nic.vm]
