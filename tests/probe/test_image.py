"""The probe guest's image: built by the system's compiler, booted on the reference VMM."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.deadline import Deadline, wait_until
from harness.errors import GuestError, Owner, Unavailable, VmmDied
from harness.guest import compiler as compiler_module
from harness.guest.probe import image as image_module
from harness.guest.probe.bus import map_registers, port_in, read
from harness.guest.probe.image import build_image
from harness.guest.probe.monitor import Monitor
from harness.vmm.base import Launch, Vm, VmConfig, Vmm
from harness.vmm.kernel_format import KernelFormat

MEMORY_MIB = 64
UNMAPPED = 1 << 39
"""Above what the guest maps at first, and within QEMU's 40 bits of physical addresses."""
LINE_STATUS = 0x3FD
TICK = 1 / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def vm(qemu: Vmm, image: Path, tmp_path: Path) -> Iterator[Vm]:
    with qemu.launch(VmConfig(image, cpus=1, memory_mib=MEMORY_MIB), Launch(tmp_path)) as vm:
        yield vm


@pytest.fixture
def monitor(vm: Vm) -> Iterator[Monitor]:
    memory = vm.guest_memory()
    yield Monitor(vm.serial, memory, memory.size)
    memory.close()


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, all its threads together (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


# Building


def test_image_is_built_once_per_recipe(image: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert image.read_bytes().startswith(b"\x7fELF")
    stamp = image.stat().st_mtime_ns
    assert build_image(root=cache) == image
    assert image.stat().st_mtime_ns == stamp
    monkeypatch.setattr(image_module, "CFLAGS", [*image_module.CFLAGS, "-O1"])
    assert build_image(root=cache) != image


def test_bzimage_has_what_loaders_look_for(cache: Path) -> None:
    """Source: Linux, Documentation/arch/x86/boot.rst."""
    content = build_image(KernelFormat.BZIMAGE, cache).read_bytes()
    setup = (content[0x1F1] + 1) * 512
    assert content[0x1FE:0x200] == b"\x55\xaa"
    assert content[0x202:0x206] == b"HdrS"
    assert len(content) == setup + 16 * int.from_bytes(content[0x1F4:0x1F8], "little")
    assert content[0x236] & 1, "XLF_KERNEL_64"
    assert int.from_bytes(content[0x260:0x264], "little") > len(content) - setup, "init_size holds .bss"


def test_missing_compiler_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"^the probe guest needs a C compiler: apt-get install gcc"):
        build_image(root=tmp_path)


def test_recipe_that_does_not_build_gives_the_compilers_words(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_module, "CFLAGS", ["-include", "there-is-no-such.h"])
    with pytest.raises(Unavailable, match=r"could not build the probe guest: .*there-is-no-such\.h"):
        build_image(root=tmp_path)
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_compiler_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(compiler_module, "PATIENCE", 0.1)
    with pytest.raises(Unavailable, match="did not build the probe guest within"):
        build_image(root=tmp_path / "cache")


# Running


def test_guest_answers(monitor: Monitor) -> None:
    assert monitor.run([port_in(1, LINE_STATUS)])[0] & 0x60 == 0x60


def test_guest_answers_as_a_bzimage(qemu: Vmm, cache: Path, tmp_path: Path) -> None:
    """QEMU's firmware enters it in 16-bit mode."""
    config = VmConfig(build_image(KernelFormat.BZIMAGE, cache), cpus=1, memory_mib=MEMORY_MIB)
    with qemu.launch(config, Launch(tmp_path)) as vm:
        memory = vm.guest_memory()
        assert len(Monitor(vm.serial, memory, memory.size).run([port_in(1, LINE_STATUS)])) == 1
        memory.close()


@pytest.mark.parametrize(("address", "vector"), [(UNMAPPED, "0e"), (1 << 62, "0d")])
def test_fault_is_reported_and_the_monitor_lives_on(monitor: Monitor, address: int, vector: str) -> None:
    for _ in range(3):
        with pytest.raises(GuestError, match=rf"vector={vector} .*operation: .*address={address}"):
            monitor.run([port_in(1, LINE_STATUS), read(4, address)])
        assert len(monitor.run([port_in(1, LINE_STATUS)])) == 1


def test_registers_are_reachable_once_they_are_mapped(monitor: Monitor) -> None:
    monitor.run([map_registers(UNMAPPED, 4096)])
    assert len(monitor.run([read(4, UNMAPPED)])) == 1


def test_mapped_memory_and_the_line_show_the_same(vm: Vm, monitor: Monitor) -> None:
    over_the_line = Monitor(vm.serial, None, MEMORY_MIB << 20)
    data = bytes(range(256)) * 5
    over_the_line.memory.write(0x2000000, data)
    assert monitor.memory.read(0x2000000, len(data)) == data
    monitor.memory.set16(0x2000010, 0xBEEF)
    assert over_the_line.memory.get16(0x2000010) == 0xBEEF
    over_the_line.memory.fill(0x2000000, 64, 7)
    assert monitor.memory.read(0x2000000, 64) == b"\7" * 64


def test_idle_guest_is_halted(vm: Vm, monitor: Monitor) -> None:
    budget, idle = 0.1, Deadline(0.3)
    before = cpu_seconds(vm.pid)
    idle.run_out()
    assert cpu_seconds(vm.pid) - before < budget
    busy = [port_in(1, LINE_STATUS)] * 4000
    wait_until(
        "a busy guest to use more than that",
        lambda: all(monitor.run(busy) for _ in range(20)) and cpu_seconds(vm.pid) - before > 2 * budget,
        owed_by=Owner.HOST,
        within=10,
    )


def test_killed_vmm_is_named(vm: Vm, monitor: Monitor) -> None:
    os.kill(vm.pid, signal.SIGKILL)
    with pytest.raises(VmmDied, match=r"qemu died \(killed by SIGKILL\) while "):
        monitor.run([port_in(1, LINE_STATUS)])


def test_machine_reset_is_named_and_the_guest_found_again(vm: Vm, monitor: Monitor) -> None:
    vm.reboot()
    memory = vm.guest_memory()
    anew = Monitor(vm.serial, memory, memory.size)
    assert len(anew.run([port_in(1, LINE_STATUS)])) == 1
    memory.close()
