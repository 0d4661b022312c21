"""A KVM virtual machine that never runs: while it is open, KVM need not change the lab's kernel code.

KVM switches code on for the first virtual machine and off after the last one (the static keys preempt_notifier_key
and apic_sw_disabled, of machines at all and of CPUs whose interrupt controller is still off). Linux does so by writing
breakpoints over its own code. QEMU's emulator may go on running such a breakpoint after it is gone, for ever, when it
emulates several CPUs: seen in a Linux guest, and the likely end of some of the lab's machines. With one machine held
open, the keys stay as they are.
"""

from __future__ import annotations

import os
from fcntl import ioctl

from harness.host.kvm import KVM, KVM_CREATE_IRQCHIP, KVM_CREATE_VCPU, KVM_CREATE_VM


class IdleVm:
    """Holds a machine with one CPU and its interrupt controllers open until close(). Raises OSError without KVM."""

    def __init__(self) -> None:
        self._descriptors = [os.open(KVM, os.O_RDWR | os.O_CLOEXEC)]
        try:
            machine = self._create(self._descriptors[0], KVM_CREATE_VM)
            ioctl(machine, KVM_CREATE_IRQCHIP)
            self._create(machine, KVM_CREATE_VCPU)
        except OSError:
            self.close()
            raise

    def _create(self, owner: int, what: int) -> int:
        """A new descriptor; those of KVM are closed on exec."""
        created = ioctl(owner, what, 0)
        self._descriptors.append(created)
        return created

    def close(self) -> None:
        """Let go of the machine."""
        while self._descriptors:
            os.close(self._descriptors.pop())
