"""Linux guests that fail, each really booted on the reference VMM: one sentence that says what is wrong, in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from harness.deadline import Deadline
from harness.errors import DeadlineExceeded, GuestError, HarnessError, Unavailable
from harness.guest.linux import cpio
from harness.guest.linux.boot import BootFiles, linux_vm, management_nic, prepare
from harness.guest.linux.guest import LinuxGuest
from harness.guest.linux.image import linux_image
from harness.guest.linux.keys import make_keys
from harness.guest.linux.management import ManagementTap
from harness.testbed.linux_machines import FIRST_NETWORK
from harness.testbed.testbed import Testbed
from harness.vmm.base import Vm, Vmm

pytestmark = pytest.mark.slow

SOON = 5.0
"""Seconds, a third of what a command may take: an end is seen, not waited for."""

Launch = Callable[[BootFiles], Vm]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> BootFiles:
    """What a healthy guest boots from."""
    try:
        return prepare(linux_image(), tmp_path_factory.mktemp("files"))
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def launch(qemu: Vmm, tmp_path: Path, files: BootFiles, own_network: None) -> Iterator[Launch]:
    """Launches a guest with nothing but its management NIC. Nothing of it may be left after the test."""
    vms: list[Vm] = []
    with ExitStack() as undo:
        bed = undo.enter_context(Testbed(qemu, tmp_path))

        def start(given: BootFiles) -> Vm:
            address = FIRST_NETWORK + 2
            management = ManagementTap("mgmt", address)
            bed.on_close(management.close)
            vms.append(
                bed.launch(linux_vm(given, [], management_nic(address, management.attachment), cpus=1))
            )
            return vms[-1]

        yield start
    for vm in vms:
        assert not Path(f"/proc/{vm.pid}").exists()
    assert not Path("/sys/class/net/mgmt").exists()


@pytest.fixture
def guest(launch: Launch, files: BootFiles) -> Iterator[LinuxGuest]:
    """A healthy guest, so far."""
    guest = LinuxGuest.boot(launch(files), files.keys)
    yield guest
    guest.close()


def test_kernel_that_says_nothing_ends_at_the_deadline(
    launch: Launch, files: BootFiles, tmp_path: Path
) -> None:
    kernel = tmp_path / "kernel"
    whole = bytearray(files.kernel.read_bytes())
    setup = (whole[0x1F1] + 1) * 512  # what comes behind the setup sectors is the kernel itself
    whole[setup:] = b"\xf4" * (len(whole) - setup)  # hlt
    kernel.write_bytes(whole)
    vm = launch(replace(files, kernel=kernel))
    with pytest.raises(DeadlineExceeded, match=r"waited 3.0 s for the Linux guest to boot(.|\n)*console:\n"):
        LinuxGuest.boot(vm, files.keys, within=3)


def test_image_without_a_driver_names_those_it_has(launch: Launch, files: BootFiles, tmp_path: Path) -> None:
    image = tmp_path / "initramfs"
    image.write_bytes(files.initramfs.read_bytes() + cpio.archive({"lib/modules/boot": cpio.file(b"")}))
    vm = launch(replace(files, initramfs=image))
    with pytest.raises(
        GuestError, match=r"the guest's init gave up: there is no management NIC .*virtio drivers here"
    ):
        LinuxGuest.boot(vm, files.keys)


def test_image_that_is_cut_short_is_a_panic(launch: Launch, files: BootFiles, tmp_path: Path) -> None:
    image = tmp_path / "initramfs"
    image.write_bytes(files.initramfs.read_bytes()[:4096])
    vm = launch(replace(files, initramfs=image))
    with pytest.raises(GuestError, match=r"the guest's kernel panicked \(.*root fs.*\) while it booted"):
        LinuxGuest.boot(vm, files.keys)


def test_keys_of_another_run_open_nothing(launch: Launch, files: BootFiles) -> None:
    vm = launch(files)
    ours = make_keys()
    with pytest.raises(GuestError, match="shows another host key than the guest's"):
        LinuxGuest.boot(vm, ours)
    with pytest.raises(GuestError, match="the guest refuses the SSH key of this run"):
        LinuxGuest(vm, replace(ours, host=files.keys.host))


def test_closed_port_is_told_at_once(launch: Launch, files: BootFiles) -> None:
    vm = launch(files)
    guest = LinuxGuest.boot(vm, files.keys)
    listener = "for p in $(pidof dropbear); do grep -q '^PPid:.1$' /proc/$p/status && kill $p; done"
    guest.check(f"{listener}; true")
    with pytest.raises(GuestError, match=r"10\.99\.0\.2 port 22"):
        LinuxGuest(vm, files.keys)
    guest.close()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("echo c > /proc/sysrq-trigger", r"the guest's kernel panicked \(sysrq triggered crash\)"),
        ("poweroff -f", "the guest powered off while"),
        ("killall -9 dropbear", r"the SSH connection was lost \(.*\) while the suite awaited `killall"),
    ],
)
def test_end_of_a_guest_is_told_with_the_command(guest: LinuxGuest, command: str, sentence: str) -> None:
    deadline = Deadline(SOON)
    with pytest.raises(HarnessError, match=sentence):
        guest.run(command)
    assert not deadline.expired()
