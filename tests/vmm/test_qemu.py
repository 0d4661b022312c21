"""QEMU's driver: against a fake whose monitor is wrong, and against the real one where it is installed."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import BadInput, DeadlineExceeded, Lacks, VmmDied, VmmError
from harness.vmm import qemu as qemu_module
from harness.vmm.base import Launch, NicConfig, TapByFds, TapByName, VhostUserSocket, Vm, VmConfig, Vmm
from harness.vmm.qemu import Qemu, QemuVm, device_options, nic_arguments
from harness.vmm.qemu_microvm import QemuMicrovm
from harness.vmm.qemu_version import QemuVersion
from tests.vmm.conftest import Start

MAC = "02:00:00:00:01:00"
OLD, NEW = QemuVersion((7, 2)), QemuVersion((11, 1))
TO_A_BACK_END = NicConfig("n", MAC, 2, VhostUserSocket(Path("/s")))


@pytest.fixture
def running(qemu: Vmm, workdir: Path) -> Vm:
    """The real QEMU with nothing to boot; it is stopped by the test's own block."""
    return qemu.launch(VmConfig(kernel=None, cpus=1, memory_mib=16), Launch(workdir))


def test_death_at_start_gives_status_and_words(start: Start) -> None:
    with pytest.raises(VmmDied, match=r"fake died \(exit status 1\) while answering .*(.|\n)*the fake VMM"):
        start("qmp-dies-at-start")


@pytest.mark.parametrize("behaviour", ["qmp-rubbish", "qmp-deep", "qmp-not-utf-8", "qmp-has-no-end"])
def test_monitor_that_talks_rubbish_is_named(start: Start, behaviour: str) -> None:
    with pytest.raises(VmmError, match="fake answered rubbish while answering on its monitor") as caught:
        start(behaviour)
    assert not isinstance(caught.value, VmmDied)


def test_monitor_that_is_silent_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu_module, "START_PATIENCE", 0.3)
    with pytest.raises(DeadlineExceeded, match=r"for fake answering on its monitor; its last words: "):
        start("qmp-silent")


def test_monitor_that_closes_is_named(start: Start) -> None:
    with pytest.raises(VmmError, match="fake answered rubbish while answering on its monitor"):
        start("qmp-closes")


def test_arguments_that_qemu_refuses_come_with_its_words(qemu: Vmm, workdir: Path) -> None:
    config = VmConfig(kernel=None, memory_mib=16, extra_args=("-device", "no-such-device"))
    with pytest.raises(VmmDied, match=r"qemu died \(exit status 1\) while (.|\n)*no-such-device"):
        qemu.launch(config, Launch(workdir))


def test_refused_command_gives_qemus_words(running: Vm) -> None:
    with running, pytest.raises(VmmError, match="refused device_del: Device 'net9' not found"):
        running.remove_nic("net9")


def test_pause_and_resume_are_seen_in_the_state(running: Vm) -> None:
    with running:
        states = [running.state()]
        running.pause()
        states.append(running.state())
        running.resume()
        assert [*states, running.state()] == ["running", "paused", "running"]


def test_death_in_a_call_is_named(running: Vm) -> None:
    with running:
        os.kill(running.pid, signal.SIGKILL)
        with pytest.raises(VmmDied, match=r"qemu died \(killed by SIGKILL\) while query-status"):
            running.state()


def test_stopping_twice_is_no_error(running: Vm) -> None:
    running.stop()
    running.stop()
    assert str(running.exit_status()) == "killed by SIGKILL"


def test_what_qemu_does_not_do_is_one_sentence(running: Vm) -> None:
    with running:
        with pytest.raises(Lacks, match="qemu has no second boot of a VM"):
            running.shut_down_and_boot()
        assert isinstance(running, QemuVm)


def arguments(nic: NicConfig, version: QemuVersion) -> list[str]:
    return nic_arguments(nic, version, device_options(nic, version))


@pytest.mark.parametrize(
    ("nic", "netdev"),
    [
        (TapByName("t"), "tap,id=n-backend,ifname=t,script=no,downscript=no,vhost=off,queues=2"),
        (TapByName("t", vhost=True), "tap,id=n-backend,ifname=t,script=no,downscript=no,vhost=on,queues=2"),
        (TapByFds((7, 8)), "tap,id=n-backend,fds=7:8,vhost=off"),
        (VhostUserSocket(Path("/s")), "vhost-user,id=n-backend,chardev=n-socket,queues=2"),
    ],
    ids=["tap", "vhost-net", "descriptors", "vhost-user"],
)
def test_netdev_counts_pairs(nic: TapByName, netdev: str) -> None:
    words = arguments(NicConfig("n", MAC, 2, nic), OLD)
    assert words[words.index("-netdev") + 1] == netdev
    assert f"mac={MAC},mq=on" in words[words.index("-device") + 1]


def test_tap_of_one_pair_is_not_multi_queue() -> None:
    words = " ".join(arguments(NicConfig("n", MAC, 1, TapByName("t")), OLD))
    assert "queues=" not in words
    assert "mq=off" in words


@pytest.mark.parametrize(("asked", "given"), [(64, 256), (512, 512), (4096, 1024)])
def test_ring_size_is_kept_within_qemus_bounds(asked: int, given: int) -> None:
    assert device_options(NicConfig("n", MAC, 2, TapByName("t"), asked), OLD)["rx_queue_size"] == given


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", (7, 2)),
        ("10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)", (10, 0)),
        ("11.1.50 (v11.1.0-123-gabcdef)", (11, 1)),
    ],
)
def test_version_is_what_the_binary_says(said: str, number: tuple[int, int]) -> None:
    assert QemuVersion.of(said).number == number


def test_a_version_that_is_none_is_said() -> None:
    with pytest.raises(BadInput, match="names no version that is a number: 'main'"):
        QemuVersion.of("main")


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ((7, 2), "socket,id=n-socket,path=/s,reconnect=1"),
        ((9, 1), "socket,id=n-socket,path=/s,reconnect=1"),
        ((9, 2), "socket,id=n-socket,path=/s,reconnect-ms=1000"),
        ((11, 1), "socket,id=n-socket,path=/s,reconnect-ms=1000"),
    ],
)
def test_a_back_end_is_connected_to_again_in_the_words_of_the_version(
    version: tuple[int, int], words: str
) -> None:
    said = arguments(TO_A_BACK_END, QemuVersion(version))
    assert said[said.index("-chardev") + 1] == words


def test_only_a_version_that_would_end_over_them_is_given_no_vectors() -> None:
    assert [device_options(TO_A_BACK_END, version)["vectors"] for version in (OLD, NEW)] == [0, 6]
    on_a_tap = NicConfig("n", MAC, 2, TapByName("t"))
    assert device_options(on_a_tap, OLD)["vectors"] == 6
    old, new = Qemu("old", Path("/q"), "7.2.22"), Qemu("new", Path("/q"), "11.1.3")
    assert "QEMU 7.2.22 is given none with vhost-user" in old.withholds_vectors(TO_A_BACK_END)
    assert [old.withholds_vectors(on_a_tap), new.withholds_vectors(TO_A_BACK_END)] == ["", ""]


def test_the_installed_qemu_knows_each_word_and_calls_none_deprecated(qemu: Vmm, workdir: Path) -> None:
    nowhere = replace(TO_A_BACK_END, attachment=VhostUserSocket(workdir / "nowhere"))
    words = tuple(arguments(nowhere, QemuVersion.of(qemu.version))[:2])
    with qemu.launch(VmConfig(kernel=None, memory_mib=16, extra_args=words), Launch(workdir)) as vm:
        assert vm.state() == "running"
        assert "deprecated" not in vm.log()


def test_microvm_has_its_devices_on_mmio(workdir: Path) -> None:
    micro = QemuMicrovm("m", Path("/q"), "7.2.22")
    options = micro.device_options(NicConfig("n", MAC, 2, TapByName("t")))
    assert options["driver"] == "virtio-net-device"
    assert options["mq"] is True
    assert not {"vectors", "disable-legacy", "romfile"} & options.keys()
    assert micro.withholds_vectors(TO_A_BACK_END) == ""
    assert (micro.mmio_slots[0], micro.mmio_slots[-1], len(micro.mmio_slots)) == (0xFEB00000, 0xFEB02E00, 24)
