"""A running Linux guest: the commands that tests need, typed, over SSH."""

from __future__ import annotations

import contextlib
import itertools
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.deadline import wait_until
from harness.errors import GuestError, Owner
from harness.guest.linux import pktgen
from harness.guest.linux.address import guest_address
from harness.guest.linux.boot import MANAGEMENT_ID
from harness.guest.linux.command import CommandResult
from harness.guest.linux.console import BOOT_SECONDS, Console, GuestRebooted
from harness.guest.linux.ethtool import Channels, parse_channels, parse_packets
from harness.guest.linux.frames import Frames
from harness.guest.linux.kernel import (
    SLOW_HOST,
    WARNING,
    LogLine,
    QueueInterrupts,
    parse_interrupts,
    parse_log,
)
from harness.guest.linux.keys import Keys
from harness.guest.linux.pktgen import Datagram
from harness.guest.linux.ssh import COMMAND_SECONDS, Connection
from harness.vmm.base import Vm, nic_of

_DRIVER = "/sys/bus/virtio/drivers/virtio_net"
_SEPARATOR = "----"
_COUNTER = re.compile(r"[0-9]{1,20}")
_marks = itertools.count()


class Refused(GuestError):
    """The guest refused what it was asked: a command ended with an error, in `result`."""

    def __init__(self, result: CommandResult, evidence: str = "") -> None:
        super().__init__(f"{result}{evidence}")
        self.result = result


@dataclass(frozen=True)
class Unbound:
    """A virtio device that its driver was taken from, and what its interface had been."""

    device: str
    interface: str
    mac: str


class LinuxGuest:
    """A Linux guest that one can log into. Interfaces are named as in `harness.guest.linux.boot.linux_vm`.

    Every call has a deadline. One that fails raises GuestError, VmmDied or DeadlineExceeded, and the text
    carries the command, its output so far, and the last lines of the console and of the VMM's log.
    """

    def __init__(self, vm: Vm, keys: Keys) -> None:
        """Log into the guest of `vm`, which is up already, as after a restore. See `boot` for a fresh one."""
        self._address = guest_address(nic_of(vm.config, MANAGEMENT_ID).mac)
        self._keys = keys
        self.console = Console.of(vm)
        self._connection = self._connect()
        self._teller: str | None = None

    def ssh_line(self, folder: Path) -> str:
        """What ssh(1) is to be told to log in; the key goes into a file in `folder`."""
        known = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        return f"ssh -i {self._keys.save(folder)} {known} root@{self._address}"

    @classmethod
    def boot(cls, vm: Vm, keys: Keys, *, within: float = BOOT_SECONDS) -> LinuxGuest:
        """Wait until the guest of a VM that was just launched is up, and log in. `within` is for the boot."""
        Console.of(vm).await_ready(within=within)
        return cls(vm, keys)

    def reboot(self, *, within: float = BOOT_SECONDS) -> None:
        """Let the guest reboot itself, and log in anew when it is up again."""
        with contextlib.suppress(GuestRebooted):
            self.run("reboot -f")
        self.await_reboot(within=within)

    def await_reboot(self, *, within: float = BOOT_SECONDS) -> None:
        """Wait until the guest, which is rebooting, is up again, and log in anew."""
        self.close()
        self.console.await_ready(within=within)
        self._connection = self._connect()

    def close(self) -> None:
        """Hang up. The guest goes on."""
        self._connection.close()

    def run(self, command: str, *, within: float = COMMAND_SECONDS) -> CommandResult:
        """Run a shell command. Its exit status is not judged; `within` is in seconds."""
        return self._connection.run(command, within=within)

    def check(self, command: str, *, within: float = COMMAND_SECONDS) -> str:
        """Run a shell command that must succeed; what it prints. Raises Refused if its status is not 0."""
        result = self.run(command, within=within)
        if not result.ok:
            raise Refused(result, self.console.evidence())
        return result.stdout

    def channels(self, interface: str) -> Channels:
        """What `ethtool -l` says. It is what the driver believes, whether the device agreed or not."""
        return parse_channels(self.check(f"ethtool -l {interface}"))

    def set_channels(self, interface: str, pairs: int) -> None:
        """`ethtool -L INTERFACE combined PAIRS`. Raises Refused if ethtool, the kernel or the device says no.

        The kernel asks the device only if `pairs` is another number than before.
        """
        self.check(f"ethtool -L {interface} combined {pairs}")

    def received(self, interface: str) -> Frames:
        """Frames received so far, by queue and in total. They are read one after the other: let traffic end."""
        return self._frames(interface, "rx")

    def transmitted(self, interface: str) -> Frames:
        """Frames transmitted so far, by queue and in total."""
        return self._frames(interface, "tx")

    def await_received(self, interface: str, total: int, *, within: float = 5.0) -> None:
        """Wait until the interface has received `total` frames or more since the boot, on whatever queues."""
        wait_until(
            f"{interface} in the guest to count {total} received frames",
            lambda: self._total(interface, "rx") >= total,
            owed_by=Owner.GUEST,
            within=within,
            last=lambda: f"{self._total(interface, 'rx')} frames",
        )

    def interrupts(self, interface: str) -> QueueInterrupts:
        """Interrupts of each of the interface's virtqueues so far."""
        device, counts = self._sections(f"readlink /sys/class/net/{interface}/device", "cat /proc/interrupts")
        return parse_interrupts(counts, device.strip().rpartition("/")[2])

    def transmit(self, interface: str, datagrams: Sequence[Datagram], *, queue: int, frames: int = 1) -> None:
        """Send `frames` frames of each datagram on one transmit queue. Raises GuestError if they do not all go out."""
        for first in range(0, len(datagrams), pktgen.AT_ONCE):
            some = datagrams[first : first + pktgen.AT_ONCE]
            said = self.check(pktgen.commands(interface, some, queue, frames))
            if pktgen.sent(said, frames) != len(some):
                raise GuestError(
                    f"pktgen did not send {frames} frames of {len(some)} flows on queue {queue}: {said.strip()}"
                )

    def unbind(self, interface: str) -> Unbound:
        """Take the driver from the interface's device: the device is reset, the interface is gone."""
        folder = f"/sys/class/net/{interface}"
        device, mac = self._sections(f"readlink {folder}/device", f"cat {folder}/address")
        unbound = Unbound(device.strip().rpartition("/")[2], interface, mac.strip())
        self.check(f"echo {unbound.device} > {_DRIVER}/unbind")
        return unbound

    def bind(self, unbound: Unbound) -> None:
        """Give the device its driver again. The interface has its name again, is down and has no address."""
        self.check(f"echo {unbound.device} > {_DRIVER}/bind")
        self.check(f". /lib/nics.sh; name_nic {unbound.interface} {unbound.mac}")

    def await_nic(self, interface: str, mac: str, *, within: float = 10.0) -> None:
        """Wait for a NIC that was plugged in, and give its interface this name. It is down."""
        wait_until(
            f"a NIC with the MAC {mac} in the guest",
            lambda: self.run(f". /lib/nics.sh; name_nic {interface} {mac}").ok,
            owed_by=Owner.GUEST,
            within=within,
            last=lambda: "the NICs " + " ".join(self.check("cat /sys/class/net/*/address").split()),
        )

    def mark_log(self) -> str:
        """Write a line into the kernel log; answers it, to be given to `log`."""
        mark = f"conformance suite: mark {next(_marks)}"
        self.check(f"echo {shlex.quote('<6>' + mark)} > /dev/kmsg")
        return mark

    def log(self, after: str | None = None) -> list[LogLine]:
        """The kernel log, or what came after a mark."""
        return parse_log(self.check("dmesg -r"), after)

    def complaints(self, after: str | None = None) -> Sequence[str]:
        """The kernel log's warnings and errors, less those that only say that the host is slow."""
        lines = [line.text for line in self.log(after) if line.level <= WARNING]
        return [line for line in lines if not SLOW_HOST.search(line)]

    def _connect(self) -> Connection:
        return Connection(self._address, self._keys, self.console)

    def _frames(self, interface: str, direction: str) -> Frames:
        said, total = self._sections(
            f"{self._queue_teller(interface)} {interface}",
            f"cat /sys/class/net/{interface}/statistics/{direction}_packets",
        )
        return Frames(parse_packets(said, direction), _number(total))

    def _queue_teller(self, interface: str) -> str:
        """The program that tells frames by queue: from Linux 6.10 on ethtool does not, and before the other fails."""
        if self._teller is None:
            self._teller = "queue-stats" if self.run(f"queue-stats {interface}").ok else "ethtool -S"
        return self._teller

    def _total(self, interface: str, direction: str) -> int:
        return _number(self.check(f"cat /sys/class/net/{interface}/statistics/{direction}_packets"))

    def _sections(self, *commands: str) -> list[str]:
        """What each of several commands prints; they run in one go, which saves the way there and back."""
        return self.check(f" && echo {_SEPARATOR} && ".join(commands)).split(f"{_SEPARATOR}\n")


def _number(text: str) -> int:
    """A counter that the kernel prints: 64 bits."""
    if not _COUNTER.fullmatch(text.strip()):
        raise GuestError(f"the guest's kernel counts {text[:80]!r} frames")
    return int(text)
