"""Linux guests for the tests of one process. A boot takes seconds, so a guest serves one test after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path

from harness.errors import HarnessError
from harness.guest.linux.boot import BootFiles, linux_vm, management_nic, prepare
from harness.guest.linux.driver import LinuxDriver
from harness.guest.linux.guest import LinuxGuest
from harness.guest.linux.image import LinuxImage
from harness.guest.linux.management import ManagementTap
from harness.guest.probe.features import MULTIQUEUE
from harness.host.backend import NetworkBackend
from harness.host.trouble import available_mib
from harness.testbed.nic import LinuxNic, Nic
from harness.testbed.surroundings import Surroundings
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.base import NicConfig, Vm, VmConfig

IDLE = 4
"""Guests that are kept for a later test: the usual NIC on each build of a usual run."""
SPARE_MIB = 2048
"""None is kept where the host has less memory left: QEMU takes 230 to 320 MiB for one, and each worker keeps some."""

EMULATED = "nohz=off no_timer_check"
"""For a kernel that QEMU emulates with several CPUs. As NOHZ begins, it patches its timer code while they run it; a CPU
that translates the code just then keeps what it read, and takes the breakpoint of the patch for ever (seen once in 16
boots on QEMU 7.2: a soft lockup in timer_update_keys, two CPUs in asm_exc_int3). And where the host is busy, a kernel
that tries its timer in the boot may see too few interrupts, and panics; on KVM it does not try."""

FIRST_NETWORK = IPv4Address("10.99.0.0")


Plugged = tuple[NicConfig, NetworkBackend]
"""A NIC, and what it is plugged into."""


@dataclass(frozen=True)
class Wanted:
    """What a test wants: guests of equal wants are as good as each other."""

    vmm: str
    plans: tuple[NicPlan, ...]
    backend: str
    surroundings: Surroundings = Surroundings()  # noqa: RUF009 -- it is frozen
    kernel_options: str = ""

    @property
    def supervised(self) -> bool:
        """Whether the VMM's system calls are judged or watched: such a machine serves one test, and no other."""
        return self.surroundings.observed


@dataclass
class Machine:
    """A VM with a booted Linux guest, in a testbed of its own. `served` counts the tests that it was lent to."""

    wanted: Wanted
    bed: Testbed
    vm: Vm
    guest: LinuxGuest
    plugged: list[Plugged]
    served: int = 0


class LinuxMachines:
    """Lends the NICs of booted Linux guests to testbeds. `folder` gives fresh folders.

    A guest whose test failed, or whose VMM's system calls are supervised, serves no other test.
    """

    def __init__(self, image: LinuxImage, folder: Callable[[], Path]) -> None:
        self._image = image
        self._folder = folder
        self._numbers = itertools.count()
        self._idle: list[Machine] = []

    @cached_property
    def files(self) -> BootFiles:
        """What the guests boot from, with the keys of this process."""
        return prepare(self._image, self._folder())

    def lend(
        self, bed: Testbed, plans: Sequence[NicPlan], backend: str, *, kernel_options: str = ""
    ) -> list[LinuxNic]:
        """The NICs of a Linux guest, until `bed` is closed: their driver freshly bound, the interfaces up.

        `kernel_options` are more words for the kernel's command line, such as `maxcpus=1`.
        """
        wanted = Wanted(bed.vmm.name, tuple(plans), backend, bed.surroundings, kernel_options)
        machine = self._idle_machine(bed, wanted) or self._boot(bed, wanted)
        machine.served += 1
        bed.on_close(lambda: self._take_back(bed, machine))
        return [
            Nic(machine.vm, config, LinuxDriver(machine.guest, config), backend, bed.journal)
            for config, backend in machine.plugged
        ]

    def close(self) -> None:
        """Stop the guests that wait for a test."""
        while self._idle:
            self._idle.pop().bed.close()

    def _idle_machine(self, bed: Testbed, wanted: Wanted) -> Machine | None:
        """One that waits, with its NICs reset; None if there is none that still works."""
        fit = [machine for machine in self._idle if machine.wanted == wanted and not wanted.supervised]
        for machine in fit:
            self._idle.remove(machine)
            try:
                machine.vm.wake()
                for config, backend in machine.plugged:
                    LinuxDriver(machine.guest, config).reset()
                    backend.changes()  # what happened before is not this test's
            except HarnessError:
                machine.bed.close()
                continue
            bed.watch(machine.vm)
            before = f"process {machine.vm.pid}, used by {machine.served} tests before"
            bed.journal.add("guest", f"a Linux guest is taken over ({before})")
            return machine
        return None

    def vm_config(self, bed: Testbed, wanted: Wanted) -> tuple[VmConfig, list[Plugged]]:
        """What to launch for such a guest, and its NICs under test; what they are plugged into is `bed`'s."""
        assert all(plan.features == MULTIQUEUE for plan in wanted.plans), "Linux negotiates as it likes"
        backends = [bed.backend(wanted.backend, plan.pairs) for plan in wanted.plans]
        configs = [bed.nic_config(plan, i, backends[i]) for i, plan in enumerate(wanted.plans)]
        number = next(self._numbers)
        address = FIRST_NETWORK + 4 * number + 2
        management = ManagementTap(f"mgmt{number}", address)
        bed.on_close(management.close)
        config = linux_vm(
            self.files,
            configs,
            management_nic(address, management.attachment),
            cpus=max(plan.pairs for plan in wanted.plans),
            kernel_options=f"{wanted.kernel_options} {'' if bed.vmm.needs_kvm else EMULATED}",
        )
        return config, list(zip(configs, backends, strict=True))

    def _boot(self, bed: Testbed, wanted: Wanted) -> Machine:
        own = Testbed(bed.vmm, self._folder(), bed.surroundings)
        try:
            config, plugged = self.vm_config(own, wanted)
            vm = own.launch(config)
            bed.watch(vm)
            bed.journal.add("vmm", f"{bed.vmm.name} started as process {vm.pid}")
            for _, backend in plugged:
                backend.adopt()
            guest = LinuxGuest.boot(vm, self.files.keys)
            own.on_close(guest.close)
            bed.journal.add("guest", "the Linux guest has booted")
            return Machine(wanted, own, vm, guest, plugged)
        except BaseException:  # an impatient user's interrupt too
            own.close()
            raise

    def _take_back(self, bed: Testbed, machine: Machine) -> None:
        if bed.failed or machine.wanted.supervised:
            machine.bed.close()
            return
        try:
            machine.vm.rest()
        except HarnessError:
            machine.bed.close()
            return
        self._idle.append(machine)
        while len(self._idle) > IDLE or (self._idle and available_mib() < SPARE_MIB):
            self._idle.pop(0).bed.close()
