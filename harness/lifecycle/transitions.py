"""What happens to a device's life: transitions as data, each with what it must do to the count.

Each takes a NIC with the probe guest's driver through it. A guest that starts anew starts its driver anew, and
sends no VQ_PAIRS_SET; a guest that is carried over sends nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from harness.guest.probe.bus import port_out
from harness.guest.probe.ejection import eject
from harness.host.tap import HandedTap
from harness.lifecycle.checks import check, check_all_active
from harness.lifecycle.guest import monitor_of, neighbours, unmap
from harness.lifecycle.migration import migrate, migration_hindrance
from harness.lifecycle.records import count_fields, rewrite_count
from harness.lifecycle.saving import restore, save, save_and_restore
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import Testbed
from harness.vmm.abilities import Ability

KEYBOARD_COMMAND, PULSE_RESET = 0x64, 0xFE
"""The keyboard controller's command port, and the command that resets a PC."""


class Effect(Enum):
    """What a transition does to the count."""

    KEEPS = "the count stays"
    RECORDED = "the count is what the snapshot recorded"
    ONE = "back to one pair"
    ALL = "all pairs, whatever the driver had asked for"


@dataclass(frozen=True)
class Transition:
    """A named step in a device's life.

    `needs` is what the VMM must be able to do. `hindrance` says why a NIC cannot be taken through it here, if so.
    """

    name: str
    effect: Effect
    run: Callable[[Testbed, ProbeNic], None]
    needs: tuple[Ability, ...] = ()
    hindrance: Callable[[ProbeNic], str | None] = lambda _: None

    def expected(self, count: int | None) -> int | None:
        """The count after it, from the count before. None: all pairs, whatever the driver had asked for."""
        match self.effect:
            case Effect.KEEPS | Effect.RECORDED:
                return count
            case Effect.ONE:
                return 1
            case Effect.ALL:
                return None


def check_count(nic: ProbeNic, count: int | None) -> None:
    """The invariant after a transition, for what it is expected to leave: see Transition.expected."""
    if count is None:
        check_all_active(nic)
    else:
        check(nic, count)


def reset_device(bed: Testbed, nic: ProbeNic) -> None:
    """The driver resets the device and starts it anew."""
    nic.reset()


def unbind_and_bind(bed: Testbed, nic: ProbeNic) -> None:
    """The driver gives the device up; another of the same kind looks for it and starts it."""
    driver = nic.driver
    driver.net.reset()
    driver.net.device.release()
    driver.rebind(driver.net.bus)
    bed.journal.add("guest", "the driver was unbound and bound again")
    nic.start()


def pause_and_resume(bed: Testbed, nic: ProbeNic) -> None:
    """The VM is paused and resumed."""
    nic.vm.pause()
    nic.vm.resume()
    bed.journal.add("vmm", "paused and resumed")


def reboot_by_vmm(bed: Testbed, nic: ProbeNic) -> None:
    """The VMM resets the machine."""
    nic.vm.reboot()
    _after_reset(bed, nic, "the VMM reset the machine")


def reboot_by_guest(bed: Testbed, nic: ProbeNic) -> None:
    """The guest resets the machine through the keyboard controller."""
    net = nic.driver.net
    net.bus.run_last([port_out(1, KEYBOARD_COMMAND, PULSE_RESET)])
    _after_reset(bed, nic, "the guest reset the machine")


def shut_down_and_boot(bed: Testbed, nic: ProbeNic) -> None:
    """The VM is ended, and booted again by the same VMM."""
    nic.vm.shut_down_and_boot()
    _after_reset(bed, nic, "the VMM shut the VM down and booted it")


def _after_reset(bed: Testbed, nic: ProbeNic, told: str) -> None:
    before = nic.driver.net.bus
    nic.vm.await_reset()
    monitor = monitor_of(bed, nic.vm)
    bed.journal.add("vmm", told)
    for each in neighbours(bed, nic):
        each.driver.rebind(monitor)
        each.start()
    unmap(before)


def back_to_a_snapshot(bed: Testbed, nic: ProbeNic) -> None:
    """The VM is saved, goes on to another count, and is ended; the snapshot is restored."""
    snapshot = save(bed, nic)
    nic.vm.resume()
    assert nic.set_pairs(nic.max_pairs + 1 - len(nic.driver.believed_pairs))
    restore(bed, nic, snapshot)
    snapshot.discard()


def restore_without_a_count(bed: Testbed, nic: ProbeNic) -> None:
    """The VM is saved and restored as builds did that recorded no count."""
    asked = len(nic.driver.believed_pairs)
    fields = count_fields(bed, nic)
    assert nic.set_pairs(asked)
    snapshot = save(bed, nic)
    rewrite_count(snapshot, nic, fields, None)
    restore(bed, nic, snapshot)
    snapshot.discard()


def plug_again(bed: Testbed, nic: ProbeNic) -> None:
    """The NIC is removed from the running VM, its driver gone before, and plugged in again."""
    nic.driver.net.reset()
    nic.vm.remove_nic(nic.config.id)
    eject_and_plug(bed, nic)


def eject_and_plug(bed: Testbed, nic: ProbeNic) -> None:
    """A NIC whose removal was asked for is let go by the guest, and plugged in again."""
    driver = nic.driver
    driver.net.reset()
    eject(driver.net.bus)
    nic.vm.await_removal(nic.config.id)
    bed.journal.add("vmm", "the NIC was removed")
    if isinstance(
        nic.backend, HandedTap
    ):  # its queues are as the VMM left them: nobody hands such descriptors over
        nic.config = replace(nic.config, attachment=nic.backend.renew())
    nic.vm.add_nic(nic.config)
    driver.rebind(driver.net.bus)
    nic.start()


TRANSITIONS = (
    Transition("device-reset", Effect.ONE, reset_device),
    Transition("unbind-and-bind", Effect.ONE, unbind_and_bind),
    Transition("guest-reboot", Effect.ONE, reboot_by_guest, (Ability.REBOOT, Ability.KEYBOARD_RESET)),
    Transition("vmm-reboot", Effect.ONE, reboot_by_vmm, (Ability.REBOOT,)),
    Transition("shut-down-and-boot", Effect.ONE, shut_down_and_boot, (Ability.BOOT_AGAIN,)),
    Transition("pause-and-resume", Effect.KEEPS, pause_and_resume, (Ability.PAUSE,)),
    Transition("snapshot-and-restore", Effect.KEEPS, save_and_restore, (Ability.SNAPSHOT,)),
    Transition("back-to-a-snapshot", Effect.RECORDED, back_to_a_snapshot, (Ability.SNAPSHOT,)),
    Transition(
        "restore-without-a-count",
        Effect.ALL,
        restore_without_a_count,
        (Ability.SNAPSHOT, Ability.OPEN_STATE),
    ),
    Transition("live-migration", Effect.KEEPS, migrate, (Ability.MIGRATION,), migration_hindrance),
)
"""The transitions of a NIC that the VM has from its start on."""

SAME_GUEST = tuple(step for step in TRANSITIONS if step.effect is Effect.KEEPS)
"""Those through which the guest goes on as if nothing had happened."""

PLUGGED_AGAIN = Transition("removal-and-hot-plug", Effect.ONE, plug_again, (Ability.HOT_PLUG,))
"""For a NIC that was plugged in: VMMs do not let go of every NIC that was there from the start."""
