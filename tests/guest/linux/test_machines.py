from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import GuestError
from harness.guest.linux.image import LinuxImage
from harness.host.trouble import available_mib
from harness.testbed import linux_machines as module
from harness.testbed.linux_machines import IDLE, SPARE_MIB, LinuxMachines, Machine, Wanted
from harness.testbed.surroundings import Surroundings
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.base import NicConfig, TapByName

NIC = NicConfig("net0", "02:00:00:00:01:00", 4, TapByName("mq0"))


class FakeDriver:
    """Stands in for LinuxDriver: a reset fails where the guest is dead."""

    def __init__(self, guest: Any, nic: NicConfig) -> None:
        self.guest = guest

    def reset(self) -> None:
        self.guest.resets += 1
        if self.guest.dead:
            raise GuestError("it is dead")


@pytest.fixture
def booted(monkeypatch: pytest.MonkeyPatch) -> list[Machine]:
    """The machines that were booted, in order; they are fakes, which note that they were closed."""
    made: list[Machine] = []

    def boot(_: LinuxMachines, bed: Testbed, wanted: Wanted) -> Machine:
        own: Any = SimpleNamespace(closed=False)
        own.close = lambda: setattr(own, "closed", True)
        guest: Any = SimpleNamespace(dead=False, resets=0)
        backend: Any = SimpleNamespace(changes=lambda: [])
        clock = SimpleNamespace(note=lambda at: None)
        vm: Any = SimpleNamespace(pid=len(made), process=SimpleNamespace(clock=clock), rests=False)
        vm.rest = lambda: setattr(vm, "rests", True)
        vm.wake = lambda: setattr(vm, "rests", False)
        bed.watch(vm)
        made.append(Machine(wanted, own, vm, guest, [(NIC, backend)]))
        return made[-1]

    monkeypatch.setattr(LinuxMachines, "_boot", boot)
    monkeypatch.setattr(module, "LinuxDriver", FakeDriver)
    assert available_mib() > 0
    monkeypatch.setattr(module, "available_mib", lambda: SPARE_MIB)
    return made


@pytest.fixture
def machines() -> LinuxMachines:
    return LinuxMachines(LinuxImage(Path("kernel"), Path("initramfs")), lambda: Path("folder"))


@pytest.fixture
def use(machines: LinuxMachines, booted: list[Machine]) -> Callable[..., int]:
    """A test that uses a machine and ends; answers which one it was."""

    def use(
        vmm: str = "a",
        pairs: int = 4,
        options: str = "",
        during: Callable[[Testbed], object] = id,
        around: Surroundings = Surroundings(),  # noqa: B008 -- it is frozen
    ) -> int:
        fake: Any = SimpleNamespace(name=vmm)
        with Testbed(fake, Path("folder"), around, machines) as bed:
            during(bed)
            (nic,) = bed.linux_nics([NicPlan(pairs)], "tap", kernel_options=options)
            assert bed.nics == [nic]
            assert bed.vms[-1:] == [nic.vm]
            during(bed)
            return nic.vm.pid

    return use


def closed(machines: list[Machine]) -> list[bool]:
    return [getattr(machine.bed, "closed", False) for machine in machines]


def test_a_machine_serves_one_test_after_the_other(use: Callable[..., int], booted: list[Machine]) -> None:
    assert [use(), use(), use()] == [0, 0, 0]
    assert booted[0].served == 3
    assert getattr(booted[0].guest, "resets", 0) == 2
    assert closed(booted) == [False]


def test_another_want_takes_another_machine(use: Callable[..., int], booted: list[Machine]) -> None:
    assert [use(), use(vmm="b"), use(pairs=2), use(options="maxcpus=1")] == [0, 1, 2, 3]
    assert use(vmm="b") == 1


def test_two_tests_at_once_do_not_share(use: Callable[..., int], booted: list[Machine]) -> None:
    inner: list[int] = []

    def meanwhile(bed: Testbed) -> None:
        if bed.nics and not inner:
            inner.append(-1)
            inner[0] = use()

    assert use(during=meanwhile) == 0
    assert inner == [1]


def test_a_failed_test_takes_its_machine_with_it(use: Callable[..., int], booted: list[Machine]) -> None:
    assert use(during=Testbed.mark_failed) == 0
    assert closed(booted) == [True]
    assert use() == 1


def test_a_supervised_machine_serves_one_test_alone(use: Callable[..., int], booted: list[Machine]) -> None:
    supervised = Surroundings().supervised()
    assert [use(), use(around=supervised), use(around=supervised), use()] == [0, 1, 2, 0]
    assert closed(booted) == [False, True, True]


def test_a_dead_guest_is_replaced(use: Callable[..., int], booted: list[Machine]) -> None:
    use()
    booted[0].guest.dead = True  # type: ignore[attr-defined]
    assert use() == 1
    assert closed(booted) == [True, False]


def test_the_longest_unused_goes_first(use: Callable[..., int], booted: list[Machine]) -> None:
    for number in range(IDLE):
        use(vmm=str(number))
    use(vmm="0")
    use(vmm="another")
    assert closed(booted) == [False, True] + [False] * (IDLE - 1)


def test_none_waits_where_memory_is_short(
    use: Callable[..., int], booted: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    use()
    monkeypatch.setattr(module, "available_mib", lambda: SPARE_MIB - 1)
    use(vmm="b")
    assert closed(booted) == [True, True]


def test_closing_ends_those_that_wait(
    use: Callable[..., int], machines: LinuxMachines, booted: list[Machine]
) -> None:
    use()
    use(vmm="b")
    machines.close()
    assert closed(booted) == [True, True]


def test_a_machine_has_the_surroundings_of_the_test_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machines: LinuxMachines
) -> None:
    """What a Linux guest's NIC is plugged into is made in surroundings that lack nothing."""
    launched: list[Testbed] = []

    def vm_config(_: LinuxMachines, bed: Testbed, wanted: Wanted) -> Any:
        launched.append(bed)
        raise GuestError("that is all")

    monkeypatch.setattr(LinuxMachines, "vm_config", vm_config)
    around = Surroundings(programs={"vhost_user_net": Path("given")}, memory_room_mib=1).supervised()
    fake: Any = SimpleNamespace(name="a")
    with Testbed(fake, tmp_path, around, machines) as bed, pytest.raises(GuestError, match="that is all"):
        bed.linux_nics([NicPlan()], "vhost_user_net")
    assert [own.surroundings for own in launched] == [around]


def test_other_surroundings_take_another_machine(use: Callable[..., int], booted: list[Machine]) -> None:
    assert use() == 0
    assert use(around=Surroundings(memory_room_mib=1)) == 1
    assert use() == 0


def test_idle_guest_rests_until_it_is_used_again(use: Callable[..., int], booted: list[Machine]) -> None:
    use()
    vm: Any = booted[0].vm
    assert vm.rests
    seen: list[bool] = []
    assert use(during=lambda _: seen.append(vm.rests)) == 0
    assert seen == [True, False]  # before it is lent, and while it is
    assert vm.rests
