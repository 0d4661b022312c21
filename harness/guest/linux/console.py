"""The Linux guest seen from its console: has it booted, failed, panicked, or gone?"""

from __future__ import annotations

import re
from collections.abc import Callable

from harness.deadline import Deadline
from harness.errors import DeadlineExceeded, GuestError, HarnessError, Owner, Unavailable
from harness.vmm.base import Vm
from harness.vmm.serial import SerialPort

BOOT_SECONDS = 120.0
"""For a boot up to the line on the console that says so; failures are seen at once, silence alone takes it."""

LONGEST = 4096
"""Characters kept of a line whose end has not come yet."""

_READY = re.compile(r"guest ready: (.*)")
_FAILED = re.compile(r"guest failed: (.*)")
_PANICKED = re.compile(r"Kernel panic - not syncing: (.*)")
_NO_TIMER = "IO-APIC + timer doesn't work!"
"""What a kernel panics with that got too few timer interrupts in a moment of its boot: a busy host gave it no time.
The suite asks kernels not to try (no_timer_check), which one that a user brings may not heed."""
_POWERED_OFF = re.compile(r"reboot: (?:Power down|System halted)")
_REBOOTED = re.compile(r"reboot: Restarting system")


class GuestRebooted(GuestError):
    """The guest rebooted itself."""


class Console:
    """Reads a Linux guest's serial console, and tells the evidence for messages about it.

    `check_alive` raises if the VMM is gone, `vmm_log` gives the last lines that the VMM wrote.
    """

    def __init__(
        self, serial: SerialPort, check_alive: Callable[[str], None], vmm_log: Callable[[], str]
    ) -> None:
        self._serial = serial
        self._check_alive = check_alive
        self._vmm_log = vmm_log
        self._partial = ""
        self._ended: HarnessError | None = None

    @classmethod
    def of(cls, vm: Vm) -> Console:
        """The console of a running VM."""
        return cls(vm.serial, vm.check_alive, vm.process.tail)

    def await_ready(self, *, within: float | Deadline = BOOT_SECONDS) -> str:
        """Wait for the line "guest ready: ..." of a guest that boots, and answer what it says of itself.

        Raises GuestError as soon as the guest says that it failed or its kernel panics (Unavailable, where the host
        is to blame), VmmDied when the VMM ends, DeadlineExceeded when neither word nor end comes.
        """
        deadline = within if isinstance(within, Deadline) else Deadline(within)
        awaiting = "the Linux guest to boot and to say `guest ready` on its console"
        self._ended = None
        while True:
            try:
                line = self._serial.read_line(within=deadline, awaiting=awaiting).decode(errors="replace")
            except DeadlineExceeded:
                sentence = f"waited {deadline.seconds:.1f} s for {awaiting}"
                raise DeadlineExceeded(f"{sentence}{self.evidence()}", Owner.GUEST) from None
            except HarnessError as error:
                raise error.with_more(self._tail()) from error
            if ready := _READY.search(line):
                return ready[1].strip()
            if ended := self._ending(line, "it booted"):
                raise ended

    def check(self, doing: str) -> None:
        """Raise if the guest or the VMM ended, never wait. `doing` completes "it ended while ..."."""
        *lines, self._partial = (self._partial + self._serial.drain().decode(errors="replace")).split("\n")
        self._partial = self._partial[-LONGEST:]
        for line in lines:
            self._ended = self._ended or self._ending(line, doing) or self._reboot(line, doing)
        if self._ended:
            raise self._ended
        try:
            self._check_alive(doing)
        except HarnessError as error:
            raise error.with_more(self._tail()) from error

    def evidence(self) -> str:
        """The last lines of the console and of the VMM's log, to be put behind a sentence."""
        return f"{self._tail()}\n--- the VMM's log:\n{self._vmm_log() or '(empty)'}"

    def _tail(self) -> str:
        return f"\n--- console:\n{self._serial.tail() or '(empty)'}"

    def _ending(self, line: str, doing: str) -> HarnessError | None:
        """The error that a line of the console stands for, if it tells of an end."""
        if failed := _FAILED.search(line):
            return GuestError(f"the guest's init gave up: {failed[1].strip()}{self.evidence()}")
        if _NO_TIMER in line and _PANICKED.search(line):
            return Unavailable(
                f"the guest's kernel got no timer interrupts in time and panicked ({_NO_TIMER}): this host is too busy "
                f"to judge; run again with fewer workers (-n){self.evidence()}"
            )
        if panicked := _PANICKED.search(line):
            return GuestError(
                f"the guest's kernel panicked ({panicked[1].strip()}) while {doing}{self.evidence()}"
            )
        if _POWERED_OFF.search(line):
            return GuestError(f"the guest powered off while {doing}{self.evidence()}")
        return None

    def _reboot(self, line: str, doing: str) -> GuestError | None:
        if _REBOOTED.search(line):
            return GuestRebooted(f"the guest rebooted while {doing}{self.evidence()}")
        return None
