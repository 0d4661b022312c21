"""What a VMM cannot do is said by what its adapter leaves out; and what an adapter claims, it has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

import pytest

from harness.errors import Lacks
from harness.vmm.abilities import Ability, OfKind
from harness.vmm.base import Launch, NicConfig, TapByName, Vm, VmConfig, Vmm
from harness.vmm.find import KINDS

NIC = NicConfig("net0", "02:00:00:00:01:00", 4, TapByName("mq0"))
CONFIG = VmConfig(None, (NIC,))
HERE = Path("anywhere")
PROCESS: Any = SimpleNamespace(pid=1, exit_status=lambda: None)
SERIAL: Any = None

OF_VMS: dict[Ability, tuple[str, ...]] = {
    Ability.PAUSE: ("pause", "resume"),
    Ability.REBOOT: ("reboot", "await_reset"),
    Ability.BOOT_AGAIN: ("shut_down_and_boot",),
    Ability.SNAPSHOT: ("snapshot",),
    Ability.MIGRATION: ("send_migration",),
    Ability.HOT_PLUG: ("add_nic", "remove_nic", "await_removal"),
    Ability.MEMORY_HOT_PLUG: ("plug_memory",),
}
"""The calls of a VM that an ability is about."""
OF_BUILDS: dict[Ability, tuple[str, ...]] = {
    Ability.SNAPSHOT: ("restore", "recorded", "rerecord", "saved_devices"),
    Ability.MIGRATION: ("receive_migration",),
}
"""Those of a build."""


class Bare(Vmm):
    """As short as an adapter can be: a VMM that boots a guest with one NIC on a tap, and does no more."""

    kind = banner = "bare"

    def launch(self, config: VmConfig, launch: Launch) -> Vm:
        return Vm(self, config, PROCESS, SERIAL)


@pytest.fixture
def bare() -> Bare:
    return Bare("bare", HERE, "1")


@pytest.fixture
def vm(bare: Bare) -> Vm:
    return bare.launch(CONFIG, Launch(HERE))


CALLS: list[tuple[Callable[[Vm], object], str]] = [
    (Vm.pause, "pause"),
    (Vm.resume, "pause"),
    (Vm.reboot, "reboot"),
    (Vm.await_reset, "reboot"),
    (lambda vm: vm.add_nic(NIC), "hot plug"),
    (lambda vm: vm.remove_nic("net0"), "hot plug"),
    (lambda vm: vm.await_removal("net0"), "hot plug"),
    (lambda vm: vm.plug_memory(128), "hot plug of memory"),
    (Vm.shut_down_and_boot, "second boot of a VM that was shut down"),
    (lambda vm: vm.snapshot(HERE), "snapshots"),
    (lambda vm: vm.send_migration(HERE, local=False), "live migration"),
    (lambda vm: vm.vmm.restore(HERE, CONFIG, Launch(HERE)), "snapshots"),
    (lambda vm: vm.vmm.receive_migration(HERE, CONFIG, Launch(HERE)), "live migration"),
    (lambda vm: vm.vmm.recorded(HERE, NIC), "snapshots"),
    (lambda vm: vm.vmm.rerecord(HERE, NIC, {}), "snapshots"),
    (lambda vm: vm.vmm.saved_devices(HERE), "snapshots"),
]


@pytest.mark.parametrize(("call", "what"), CALLS)
def test_what_an_adapter_leaves_out_cannot_be_done(vm: Vm, call: Callable[[Vm], object], what: str) -> None:
    with pytest.raises(Lacks, match=f"^bare has no {what}$"):
        call(vm)


def test_what_every_vm_answers(vm: Vm) -> None:
    assert (vm.info(), vm.state(), vm.pid) == ({}, "running", 1)


@pytest.mark.parametrize("ability", Ability)
def test_a_bare_vmm_lacks_everything(bare: Bare, ability: Ability) -> None:
    assert ability.lacking(bare) == f"bare has no {ability.value}"


def test_what_is_made_of_one_programs_options_is_for_its_builds(bare: Bare) -> None:
    assert OfKind("bare", "these are options").lacking(bare) is None
    assert (
        OfKind("other", "these are options").lacking(bare) == "these are options of other, and bare is none"
    )


def test_smallest_memory(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bare.memory_mib(64) == 64
    monkeypatch.setattr(Bare, "smallest_memory_mib", 128)
    assert (bare.memory_mib(64), bare.memory_mib(256)) == (128, 256)


def left_out(kind: type, base: type, names: tuple[str, ...]) -> list[str]:
    """Those of the methods that a class has from its base."""
    return [name for name in names if getattr(kind, name) is getattr(base, name)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("ability", OF_VMS)
def test_an_adapter_has_what_it_claims_and_claims_what_it_has(kind: type[Vmm], ability: Ability) -> None:
    vm = get_type_hints(kind.launch)["return"]
    missing = left_out(vm, Vm, OF_VMS[ability]) + left_out(kind, Vmm, OF_BUILDS.get(ability, ()))
    every = [*OF_VMS[ability], *OF_BUILDS.get(ability, ())]
    assert missing == ([] if ability in kind.abilities else every)
