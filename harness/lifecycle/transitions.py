"""What happens to a device's life: transitions as data, each with what it must do to the count.

Each takes a NIC with the probe guest's driver through it. A guest that starts anew starts its driver anew, and
asks for no count; a guest that is carried over asks for nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from harness.guest.probe.bus import port_out
from harness.guest.probe.monitor import Monitor
from harness.lifecycle.guest import monitor_of, neighbours, probe_driver
from harness.lifecycle.migration import migrate
from harness.lifecycle.saving import save_and_restore
from harness.nic import Nic
from harness.testbed import Testbed

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
    net = probe_driver(nic).net
    assert isinstance(net.bus, Monitor)
    net.bus.run_last([port_out(1, KEYBOARD_COMMAND, PULSE_RESET)])
    _after_reset(bed, nic, "the guest reset the machine")


def _after_reset(bed: Testbed, nic: Nic, told: str) -> None:
    nic.vm.await_reset()
    monitor = monitor_of(bed, nic.vm)
    bed.journal.add("vmm", told)
    for each in neighbours(bed, nic):
        probe_driver(each).begin_anew(monitor)
        each.start()


TRANSITIONS = (
    Transition("device-reset", Effect.ONE, reset_device),
    Transition("guest-reboot", Effect.ONE, reboot_by_guest),
    Transition("vmm-reboot", Effect.ONE, reboot_by_vmm),
    Transition("pause-and-resume", Effect.KEEPS, pause_and_resume),
    Transition("snapshot-and-restore", Effect.KEEPS, save_and_restore, need="snapshot"),
    Transition("live-migration", Effect.KEEPS, migrate, need="snapshot"),
)
"""The transitions that every VMM knows."""
