"""What the CPUs of a machine are at, asked of a real QEMU."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.deadline import wait_until
from harness.errors import Owner
from harness.lab.client import LabGone
from harness.lab.machine import monitor
from harness.lab.registers import in_short, registers
from harness.vmm.find import QEMU_PROGRAM
from tests.lab.conftest import MakeLab

pytestmark = pytest.mark.skipif(shutil.which(QEMU_PROGRAM) is None, reason=f"{QEMU_PROGRAM} is not installed")


def _listens() -> bool:
    with socket.socket(socket.AF_UNIX) as asker:
        return asker.connect_ex("monitor") == 0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine of two CPUs that has not begun; where its monitor is."""
    monkeypatch.chdir(tmp_path)
    words = [QEMU_PROGRAM, "-nodefaults", "-display", "none", "-S", "-smp", "2", *monitor(Path("monitor"))]
    with subprocess.Popen(words) as qemu:
        wait_until("QEMU's monitor", _listens, owed_by=Owner.HOST, within=10)
        yield Path("monitor")
        qemu.kill()


def test_each_cpu_says_where_it_is(machine: Path) -> None:
    said = asyncio.run(registers(machine))
    assert "CR3=" in said
    assert in_short(said) == "CPU 0 at 0000fff0, CPU 1 halted at 0000fff0"


def test_machine_that_says_nothing_costs_a_moment_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.lab.registers.PATIENCE", 0.1)
    monkeypatch.chdir(tmp_path)
    assert asyncio.run(registers(Path("monitor"))) == ""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind("monitor")
        silent.listen()
        assert asyncio.run(registers(Path("monitor"))) == ""


def test_machine_that_hangs_is_told_with_its_cpus(make_lab: MakeLab) -> None:
    words = ["-nodefaults", "-display", "none", "-S", *monitor(Path("monitor"))]
    lab = make_lab(QEMU_PROGRAM, *words, limits="beat=0.05,boot=2")
    lab.start()
    with pytest.raises(
        LabGone, match=r"not answered for \d+ s \(booting\); CPU 0 at 0000fff0 \(all registers: /"
    ):
        lab.await_ready()
