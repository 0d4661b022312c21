"""The machine that never runs, on the host's own KVM: its descriptors, and what is left of it."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from harness.host.kvm import KVM
from harness.lab import agent, idle_vm
from harness.lab.idle_vm import IdleVm

needs_kvm = pytest.mark.skipif(not os.access(KVM, os.R_OK | os.W_OK), reason=f"{KVM} cannot be opened here")


def of_kvm() -> list[str]:
    """What this process holds of KVM."""
    held = (str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
    return sorted(name for name in held if "kvm" in name)


@needs_kvm
def test_it_holds_a_machine_and_a_cpu_until_it_is_closed() -> None:
    before = of_kvm()
    with closing(IdleVm()):
        assert set(of_kvm()) - set(before) == {KVM, "anon_inode:kvm-vm", "anon_inode:kvm-vcpu:0"}
    assert of_kvm() == before


@needs_kvm
def test_what_fails_half_way_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = of_kvm()
    monkeypatch.setattr(idle_vm, "KVM_CREATE_IRQCHIP", 0xAEFF)
    with pytest.raises(OSError):
        IdleVm()
    assert of_kvm() == before


def test_no_kvm_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(idle_vm, "KVM", tmp_path / "kvm")
    with pytest.raises(FileNotFoundError):
        IdleVm()


def test_agent_says_that_kvm_makes_no_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(idle_vm, "KVM", tmp_path / "kvm")
    monkeypatch.setattr("sys.argv", ["agent"])
    with pytest.raises(SystemExit, match=r"^lab failed: its KVM makes no virtual machine: No such file"):
        agent.main()
