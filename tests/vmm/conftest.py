"""Fake VMMs by behaviour, each test with a folder of its own and the check that nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from harness.deadline import wait_until
from harness.errors import Owner
from harness.vmm.base import Launch, NicConfig, Vm, VmConfig
from harness.vmm.find import identify
from tests.vmm.fakes import make_fake, processes_naming


class Start(Protocol):
    def __call__(self, behaviour: str, *nics: NicConfig) -> Vm: ...


@pytest.fixture
def workdir(tmp_path: Path) -> Iterator[Path]:
    """Where a VM's files go. Afterwards no process of the test's may live, and no socket may lie there."""
    folder = tmp_path / "vm"
    folder.mkdir()
    yield folder
    wait_until(
        "every fake to be gone",
        lambda: not processes_naming(str(tmp_path)),
        owed_by=Owner.HOST,
        within=5,
        last=lambda: processes_naming(str(tmp_path)),
    )
    assert [path.name for path in folder.iterdir() if path.is_socket()] == []


@pytest.fixture
def start(tmp_path: Path, workdir: Path) -> Iterator[Start]:
    """Launches a fake VMM of the given behaviour; it is stopped at the end of the test."""
    running: list[Vm] = []

    def launch(behaviour: str, *nics: NicConfig) -> Vm:
        vmm = identify("fake", make_fake(tmp_path, behaviour))
        vm = vmm.launch(VmConfig(kernel=None, nics=nics), Launch(workdir))
        running.append(vm)
        return vm

    yield launch
    for vm in running:
        vm.stop()
