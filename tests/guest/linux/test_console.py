import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from harness.deadline import PACE
from harness.errors import DeadlineExceeded, GuestError, Unavailable, VmmDied
from harness.guest.linux.console import Console, GuestRebooted
from harness.vmm.serial import SerialPort


@dataclass
class FakeVmm:
    """The other end of a serial line, and a process that lives until it is told otherwise."""

    line: socket.socket
    dead: threading.Event = field(default_factory=threading.Event)

    def says(self, text: str) -> None:
        self.line.sendall(text.replace("\n", "\r\n").encode())

    def check_alive(self, doing: str) -> None:
        if self.dead.is_set():
            raise VmmDied(f"the VMM died while {doing}")


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def vmm(line: tuple[socket.socket, socket.socket]) -> FakeVmm:
    return FakeVmm(line[1])


@pytest.fixture
def console(line: tuple[socket.socket, socket.socket], vmm: FakeVmm) -> Console:
    return Console(SerialPort(line[0], vmm.check_alive), vmm.check_alive, lambda: "the VMM's last words")


def test_the_ready_line_ends_the_wait(console: Console, vmm: FakeVmm) -> None:
    vmm.says("guest init\n[    0.5] noise guest ready: Linux 6.1, CPUs 0-3\n")
    assert console.await_ready(within=1) == "Linux 6.1, CPUs 0-3"


def test_the_ready_line_may_come_in_pieces_while_it_is_awaited(console: Console, vmm: FakeVmm) -> None:
    vmm.says("guest init\nguest re")
    later = threading.Timer(0.05, vmm.says, ["ady: Linux\n"])
    later.start()
    assert console.await_ready(within=5) == "Linux"
    later.join()


def test_silence_ends_at_the_deadline_with_what_came_before_it(console: Console, vmm: FakeVmm) -> None:
    vmm.says("Decompressing Linux...\n")
    with pytest.raises(DeadlineExceeded) as caught:
        console.await_ready(within=0.1)
    assert str(caught.value) == (
        f"waited {0.1 * PACE:.1f} s for the Linux guest to boot and to say `guest ready` on its console\n"
        "--- console:\nDecompressing Linux...\n--- the VMM's log:\nthe VMM's last words"
    )


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "[ 1.0] Kernel panic - not syncing: VFS: no root",
            r"kernel panicked \(VFS: no root\) while it booted",
        ),
        ("guest failed: there is no management NIC", "init gave up: there is no management NIC"),
        ("[ 1.0] reboot: Power down", "the guest powered off while it booted"),
    ],
)
def test_a_boot_that_fails_is_told_at_once(console: Console, vmm: FakeVmm, said: str, sentence: str) -> None:
    vmm.says(f"guest init\n{said}\n")
    with pytest.raises(GuestError, match=rf"(?s){sentence}.*console:.*guest init.*last words"):
        console.await_ready(within=30)


def test_a_kernel_that_a_busy_host_gave_no_time_accuses_nobody(console: Console, vmm: FakeVmm) -> None:
    vmm.says(
        "[ 1.0] Kernel panic - not syncing: IO-APIC + timer doesn't work!  Boot with apic=debug and send a\n"
    )
    with pytest.raises(Unavailable, match=r"(?s)this host is too busy to judge.*console:.*last words"):
        console.await_ready(within=30)


def test_a_vmm_that_dies_during_the_boot_is_told(console: Console, vmm: FakeVmm) -> None:
    vmm.says("guest init\n")
    vmm.dead.set()
    vmm.line.shutdown(socket.SHUT_RDWR)
    with pytest.raises(VmmDied, match=r"(?s)the VMM died .* to boot.*console:\nguest init"):
        console.await_ready(within=30)


def test_a_guest_that_lives_passes_the_check(console: Console, vmm: FakeVmm) -> None:
    vmm.says("[ 9.0] virtio_net: nothing special\n")
    console.check("a command ran")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("Kernel panic - not syncing: oops", r"the guest's kernel panicked \(oops\) while a command ran"),
        ("reboot: Power down", "the guest powered off while a command ran"),
        ("reboot: Restarting system", "the guest rebooted while a command ran"),
    ],
)
def test_a_guest_that_ended_fails_every_check(
    console: Console, vmm: FakeVmm, said: str, sentence: str
) -> None:
    vmm.says(f"{said[:9]}")
    console.check("nothing happened")
    vmm.says(f"{said[9:]}\n")
    for doing in ("a command ran", "the next one ran"):
        with pytest.raises(GuestError, match=rf"(?s){sentence}.*last words"):
            console.check(doing)


def test_a_vmm_that_died_fails_the_check(console: Console, vmm: FakeVmm) -> None:
    vmm.says("the last line\n")
    vmm.dead.set()
    with pytest.raises(VmmDied, match=r"(?s)while a command ran.*console:\nthe last line"):
        console.check("a command ran")


def test_a_guest_is_well_again_after_it_rebooted(console: Console, vmm: FakeVmm) -> None:
    vmm.says("reboot: Restarting system\n")
    with pytest.raises(GuestRebooted):
        console.check("a command ran")
    vmm.says("guest init\nguest ready: again\n")
    assert console.await_ready(within=1) == "again"
    console.check("a command ran")


def test_a_reboot_may_be_awaited_from_its_first_line_on(console: Console, vmm: FakeVmm) -> None:
    vmm.says("reboot: Restarting system\nguest init\nguest ready: again\n")
    assert console.await_ready(within=1) == "again"
