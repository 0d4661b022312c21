"""Adapters drive their VMMs as they claim. `pytest tests/vmm/test_adapters.py --vmm NAME=PATH` asks it of any build.

Without --vmm it is asked of the reference, and of damaged adapters of it: each must be found wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.vmm.base import Launch, NicConfig, VmConfig, Vmm
from harness.vmm.find import find_vmms
from harness.vmm.qemu import Qemu, QemuVm
from tests.vmm import adapter_checks
from tests.vmm.adapter_checks import CHECKS, FAULTS, NEEDS, Bench

pytestmark = pytest.mark.usefixtures("own_network", "image")

Check = Callable[[Bench], None]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "asked" in metafunc.fixturenames:
        given: Sequence[str] = metafunc.config.getoption("--vmm", default=None) or ["qemu-system-x86_64"]
        metafunc.parametrize("asked", given)


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[[Vmm], Bench]]:
    made: list[Bench] = []

    def make(vmm: Vmm) -> Bench:
        made.append(Bench(vmm, tmp_path))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_adapter(asked: str, check: Check, make_bench: Callable[[Vmm], Bench]) -> None:
    try:
        (vmm,) = find_vmms([asked])
    except HarnessError as error:
        pytest.skip(str(error))
    if (need := NEEDS.get(check)) is not None and (lacking := need.lacking(vmm)) is not None:
        pytest.skip(lacking)
    check(make_bench(vmm))


# Adapters that are wrong


def other_nics(config: VmConfig, **changes: Any) -> VmConfig:
    return replace(config, nics=tuple(replace(nic, **changes) for nic in config.nics))


class WrongPairs(Qemu):
    """It counts virtqueues where pairs are meant, or forgets them."""

    def launch(self, config: VmConfig, launch: Launch) -> QemuVm:
        return super().launch(other_nics(config, pairs=1), launch)


class WrongMac(Qemu):
    """It leaves the MAC address to the VMM."""

    def launch(self, config: VmConfig, launch: Launch) -> QemuVm:
        return super().launch(other_nics(config, mac="02:00:00:00:0b:01"), launch)


class FirstNicOnly(Qemu):
    """It says that it has several NICs, and gives one."""

    def launch(self, config: VmConfig, launch: Launch) -> QemuVm:
        return super().launch(replace(config, nics=config.nics[:1]), launch)


class NicsCrossed(Qemu):
    """Each NIC has the other's tap."""

    def launch(self, config: VmConfig, launch: Launch) -> QemuVm:
        crossed: tuple[NicConfig, ...] = tuple(
            replace(nic, attachment=other.attachment)
            for nic, other in zip(config.nics, reversed(config.nics), strict=True)
        )
        return super().launch(replace(config, nics=crossed), launch)


class LessMemory(Qemu):
    """It rounds the amount of memory."""

    def launch(self, config: VmConfig, launch: Launch) -> QemuVm:
        vm = super().launch(replace(config, memory_mib=config.memory_mib // 2), launch)
        vm.config = config
        return vm


class NoFurtherWords(Qemu):
    """It drops what is to be appended to its command line."""

    def launch(self, config: VmConfig, launch: Launch) -> QemuVm:
        return super().launch(replace(config, extra_args=()), launch)


class StaysPaused(QemuVm):
    def resume(self) -> None:
        """Nothing."""


class NoResume(Qemu):
    """It claims to pause, and cannot go on."""

    def launch(self, config: VmConfig, launch: Launch) -> QemuVm:
        vm = super().launch(config, launch)
        vm.__class__ = StaysPaused
        return vm


class Litters(Qemu):
    """It leaves a socket behind."""

    def launch(self, config: VmConfig, launch: Launch) -> QemuVm:
        words = ("-monitor", f"unix:{launch.workdir / 'left.sock'},server=on,wait=off")
        return super().launch(replace(config, extra_args=(*config.extra_args, *words)), launch)


WRONG: tuple[tuple[type[Qemu], Check], ...] = (
    (WrongPairs, adapter_checks.nics_are_those_that_were_asked_for),
    (WrongMac, adapter_checks.nics_are_those_that_were_asked_for),
    (FirstNicOnly, adapter_checks.nics_are_those_that_were_asked_for),
    (NicsCrossed, adapter_checks.nics_are_those_that_were_asked_for),
    (LessMemory, adapter_checks.guest_answers_and_its_memory_is_the_guests),
    (NoFurtherWords, adapter_checks.wrong_option_ends_it_with_its_words),
    (NoResume, adapter_checks.pause_stops_the_guest),
    (Litters, adapter_checks.nothing_is_left_behind),
)


@pytest.mark.parametrize(("wrong", "check"), WRONG, ids=lambda each: each.__name__)
def test_wrong_adapter_is_found(
    qemu: Vmm, wrong: type[Qemu], check: Check, make_bench: Callable[[Vmm], Bench]
) -> None:
    with pytest.raises((*FAULTS, HarnessError)):
        check(make_bench(wrong("wrong", qemu.path, qemu.version)))
