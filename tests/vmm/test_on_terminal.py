"""Adapters of VMMs whose guest's serial port is their terminal: what they say on the command line, and the line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.deadline import wait_until
from harness.errors import GuestError, Lacks, Owner, VmmDied
from harness.vmm.alioth import Alioth
from harness.vmm.base import (
    Attachment,
    Launch,
    NicConfig,
    TapByFds,
    TapByName,
    VhostUserSocket,
    Vm,
    VmConfig,
    Vmm,
)
from harness.vmm.kvmtool import Kvmtool
from harness.vmm.stratovirt import StratoVirt

MAC = "02:00:00:00:01:00"
BY_NAME = TapByName("mq0")
BY_FDS = TapByFds((8, 9))
BACK_END = VhostUserSocket(Path("/s"))
KINDS: tuple[type[Vmm], ...] = (StratoVirt, Alioth, Kvmtool)

ECHO = """#!/bin/sh
echo "words: $*" >&2
echo "home: $HOME" >&2
exec cat
"""
"""A VMM that says what it was told, and whose guest says whatever it hears."""

TOLD: list[tuple[type[Vmm], Attachment, str]] = [
    (StratoVirt, BY_NAME, "-netdev tap,id=net0-backend,ifname=mq0,queues=2 -device virtio-net-pci,id=net0,"),
    (
        StratoVirt,
        BACK_END,
        "-chardev socket,id=net0-socket,path=/s -netdev vhost-user,id=net0-backend,chardev=net0-socket,queues=2",
    ),
    (Alioth, BY_NAME, f"--net tap,mac={MAC},mtu=1500,qp=2,if=mq0"),
    (Alioth, BACK_END, "--net vu,socket=/s"),
    (Kvmtool, BY_NAME, f"--network mode=tap,tapif=mq0,guest_mac={MAC},mq=2"),
]
CANNOT: list[tuple[type[Vmm], Attachment, str]] = [
    (StratoVirt, VhostUserSocket(Path("/s"), server=True), "vhost-user with the VMM as the server"),
    (Alioth, VhostUserSocket(Path("/s"), server=True), "vhost-user with the VMM as the server"),
    (Alioth, BY_FDS, "taps that are handed over as descriptors"),
    (Kvmtool, BY_FDS, "taps that are handed over as descriptors"),
    (Kvmtool, BACK_END, "vhost-user"),
]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "vmm"
    path.write_text(ECHO)
    path.chmod(0o755)
    return path


@pytest.fixture
def started(program: Path, tmp_path: Path) -> Iterator[list[Vm]]:
    vms: list[Vm] = []
    yield vms
    for vm in vms:
        vm.stop()


def start(kind: type[Vmm], program: Path, started: list[Vm], *nics: NicConfig, words: str = "") -> Vm:
    workdir = program.parent / "vm"
    workdir.mkdir()
    config = VmConfig(Path("/kernel"), nics, cpus=3, memory_mib=256, extra_args=tuple(words.split()))
    vm = kind("fake", program, "1").launch(config, Launch(workdir))
    started.append(vm)
    return vm


def said(vm: Vm) -> str:
    """What the fake was told, once it has said so."""
    wait_until("the fake's words", lambda: "home: " in vm.log(), owed_by=Owner.HOST, within=5)
    return vm.log()


def nic(attachment: Attachment) -> NicConfig:
    return NicConfig("net0", MAC, 2, attachment)


@pytest.mark.parametrize(("kind", "attachment", "words"), TOLD)
def test_nic_is_told(
    kind: type[Vmm], attachment: Attachment, words: str, program: Path, started: list[Vm]
) -> None:
    assert words in said(start(kind, program, started, nic(attachment)))


def test_descriptors_are_told_by_number(program: Path) -> None:
    words = StratoVirt("fake", program, "1").nic_words(nic(BY_FDS), 2)
    assert "tap,id=net0-backend,fds=8:9" in words


@pytest.mark.parametrize(("kind", "attachment", "what"), CANNOT)
def test_what_it_cannot_be_plugged_into_is_said_before_it_starts(
    kind: type[Vmm], attachment: Attachment, what: str, program: Path, started: list[Vm]
) -> None:
    with pytest.raises(Lacks, match=f"^fake has no {what}$"):
        start(kind, program, started, nic(attachment))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_machine_is_told(kind: type[Vmm], program: Path, started: list[Vm]) -> None:
    words = said(start(kind, program, started, words="--last word"))
    assert "256" in words
    assert "3" in words
    assert "/kernel" in words
    assert "--last word\n" in words


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_line_is_raw_and_not_in_the_log(kind: type[Vmm], program: Path, started: list[Vm]) -> None:
    vm = start(kind, program, started)
    vm.serial.send(b"peek \x03\x04\x01\n")
    assert vm.serial.read_line(within=5, awaiting="its echo") == b"peek \x03\x04\x01"
    assert "peek" not in vm.log()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_vmm_that_ends_is_named_with_its_words(kind: type[Vmm], program: Path, started: list[Vm]) -> None:
    program.write_text("#!/bin/sh\necho '  Fatal: no such thing' >&2\nexit 3\n")
    vm = start(kind, program, started)
    with pytest.raises(
        (VmmDied, GuestError), match=r"fake died \(exit status 3\) while .* Fatal: no such thing"
    ):
        vm.serial.read_line(within=5, awaiting="a word")


def test_kvmtool_keeps_its_socket_with_the_vms_files(program: Path, started: list[Vm]) -> None:
    vm = start(Kvmtool, program, started)
    assert f"home: {program.parent / 'vm'}\n" in said(vm)


def test_a_small_ring_is_the_drivers_to_choose(program: Path) -> None:
    small = NicConfig("net0", MAC, 2, BY_NAME, queue_size=64)
    assert StratoVirt("fake", program, "1").nic_words(small, 2)[-1].endswith(",mq=on,queue-size=256")
