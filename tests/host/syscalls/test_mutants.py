"""What each mutant makes of the tap, for the two ways in which VMMs ask for changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pytest

from harness.deadline import wait_until
from harness.errors import BadInput, Owner
from harness.host.syscalls.mutants import ENDURANCE, MUTANTS, mutant
from harness.host.tap import Tap
from harness.vmm.base import Habits
from harness.vmm.cloud_hypervisor import CloudHypervisor
from harness.vmm.qemu import Qemu

if TYPE_CHECKING:
    from tests.host.syscalls.conftest import MakeStandIn, StandIn

ALL = {0, 1, 2, 3}


@dataclass
class Vmm:
    """Asks for differences as a VMM does, and believes what it is told."""

    child: StandIn
    active: int = 4
    tap: str = "t0"
    habits: ClassVar[Habits] = Habits()

    def _shrink(self, count: int, thread: str | None, *, top_down: bool) -> None:
        pairs = range(count, self.active)
        self._keep(
            count, self.child.detach(*(reversed(pairs) if top_down else pairs), tap=self.tap, thread=thread)
        )

    def _grow(self, count: int, thread: str | None) -> None:
        self._keep(count, self.child.attach(*range(self.active, count), tap=self.tap, thread=thread))

    def _keep(self, count: int, errors: list[int]) -> None:
        assert not any(errors), errors
        self.active = count

    def reset(self) -> None: ...

    def set_pairs(self, count: int) -> None: ...


class LikeQemu(Vmm):
    """Detaches from the bottom up; commands on the main thread, a guest's reset on a vCPU's."""

    habits = Qemu.habits

    def reset(self) -> None:
        starting = self.child.calls == []
        self._shrink(1, None if starting else "qemu-system-x86", top_down=False)

    def set_pairs(self, count: int) -> None:
        self._shrink(count, None, top_down=False) if count < self.active else self._grow(count, None)


class LikeCloudHypervisor(Vmm):
    """Detaches from the top down; activates on `vmm`, obeys commands on `<id>_ctrl`."""

    habits = CloudHypervisor.habits

    def reset(self) -> None:
        self._shrink(1, "vmm", top_down=True)

    def set_pairs(self, count: int) -> None:
        self._shrink(count, "net0_ctrl", top_down=True) if count < self.active else self._grow(
            count, "net0_ctrl"
        )


MakeVmm = Callable[[str], Vmm]


@pytest.fixture(params=[LikeQemu, LikeCloudHypervisor])
def vmm(request: pytest.FixtureRequest, stand_in: MakeStandIn) -> MakeVmm:
    def make(name: str) -> Vmm:
        made: Vmm = request.param(stand_in(mutant(name).policy(request.param.habits)))
        return made

    return make


def walk(vmm: Vmm) -> list[set[int]]:
    """The queues attached after start, VQ_PAIRS_SET 2, 4, 3, 1, 3, and a reset at 3."""
    vmm.reset()
    states = [vmm.child.attached(vmm.tap)]
    for count in (2, 4, 3, 1, 3):
        vmm.set_pairs(count)
        states.append(vmm.child.attached(vmm.tap))
    vmm.reset()
    return [*states, vmm.child.attached(vmm.tap)]


RIGHT = [{0}, {0, 1}, ALL, {0, 1, 2}, {0}, {0, 1, 2}, {0}]
WALKS = {
    "swallow-all": [ALL] * 7,
    "swallow-attach": [{0}] * 7,
    "swallow-detach": [ALL] * 7,
    "swallow-shrink": [{0}, {0, 1}, ALL, ALL, ALL, ALL, ALL],
    "reset-keeps-count": [*RIGHT[:-1], {0, 1, 2}],
    "one-pair-too-many": [{0, 1}, {0, 1, 2}, ALL, ALL, {0, 1}, ALL, {0, 1}],
    "one-pair-too-few": [{0}, {0}, {0, 1, 2}, {0, 1}, {0}, {0, 1}, {0}],
    "no-pair-left": [set(), {0, 1}, ALL, {0, 1, 2}, set(), {0, 1, 2}, set()],
    "all-or-one": [{0}, ALL, ALL, ALL, {0}, ALL, {0}],
    "wrong-queue": [{0}, {0, 3}, ALL, {0, 2, 3}, {0}, {0, 2, 3}, {0}],
    "pair-0-last": [{3}, {2, 3}, ALL, {1, 2, 3}, {3}, {1, 2, 3}, {3}],
    "attach-error-as-success": [{0}, {0}, {0, 2, 3}, {0, 2}, {0}, {0, 2}, {0}],
    "detach-error-as-success": [{0, 3}, {0, 1, 3}, ALL, ALL, {0, 3}, ALL, {0, 3}],
    "flicker": RIGHT,
    "other-nic": RIGHT,
    "wears-out": RIGHT,
    "restore-forgets": RIGHT,
    "restore-takes-all": RIGHT,
    "restores-at-each-activation": RIGHT,
}


@pytest.mark.parametrize("name", WALKS)
def test_what_the_kernel_ends_up_with(vmm: MakeVmm, name: str) -> None:
    assert walk(vmm(name)) == WALKS[name]


@pytest.mark.parametrize("kind", [LikeQemu, LikeCloudHypervisor])
@pytest.mark.parametrize("name", ["one-pair-too-few", "wrong-queue"])
def test_pairs_are_not_taken_for_the_order_of_descriptors(
    stand_in: MakeStandIn, kind: type[Vmm], name: str
) -> None:
    """Another thread closed a file while the VMM opened its queues: its duplicates tell them apart all the same."""
    assert walk(kind(stand_in(mutant(name).policy(kind.habits), displaced=True))) == WALKS[name]


@pytest.mark.usefixtures("own_network")
@pytest.mark.parametrize("kind", [LikeQemu, LikeCloudHypervisor])
@pytest.mark.parametrize("name", ["one-pair-too-few", "wrong-queue"])
def test_pairs_are_those_that_the_kernel_numbered(stand_in: MakeStandIn, kind: type[Vmm], name: str) -> None:
    """No duplicate is left to tell the queues apart by: the kernel is asked. The tap sees nothing of it."""
    tap = Tap("numbered", 4)
    try:
        child = stand_in(mutant(name).policy(kind.habits), displaced=True, tap=tap.name)
        child.tell("close_copies", tap.name)
        assert walk(kind(child, tap=tap.name)) == WALKS[name]
        assert tap.capture() == []
        assert tap.view(child.popen.pid).pairs == WALKS[name][-1]
    finally:
        tap.close()


def test_without_a_mutant_the_walk_is_right(stand_in: MakeStandIn) -> None:
    assert walk(LikeQemu(stand_in())) == RIGHT
    assert walk(LikeCloudHypervisor(stand_in())) == RIGHT


def test_swallow_at_activation_lasts_until_the_first_growth(vmm: MakeVmm) -> None:
    assert walk(vmm("swallow-at-activation"))[:-1] == [ALL, *RIGHT[1:-1]]


def test_swallow_at_activation_keeps_the_count_over_a_reset(vmm: MakeVmm) -> None:
    assert walk(vmm("swallow-at-activation"))[-1] == {0, 1, 2}


def test_what_was_missed_at_a_reset_is_set_right_by_the_next_command(vmm: MakeVmm) -> None:
    made = vmm("reset-keeps-count")
    walk(made)
    made.set_pairs(2)
    assert made.child.attached() == {0, 1}


@pytest.mark.parametrize("name", ["success-as-error", "refuse"])
def test_commands_fail_and_activation_does_not(stand_in: MakeStandIn, name: str) -> None:
    made = LikeCloudHypervisor(stand_in(mutant(name).policy(LikeCloudHypervisor.habits)))
    made.reset()
    assert made.child.attached() == {0}
    assert all(made.child.attach(1, 2, thread="net0_ctrl"))
    assert made.child.attached() == ({0, 1, 2} if name == "success-as-error" else {0})


def test_late_gets_there_in_the_end(vmm: MakeVmm) -> None:
    made = vmm("late")
    made.reset()
    assert made.child.attached() == ALL
    wait_until(
        "the late calls to be done", lambda: made.child.attached() == {0}, owed_by=Owner.HOST, within=5
    )


def test_flicker_passes_through_no_queue(vmm: MakeVmm) -> None:
    made = vmm("flicker")
    made.reset()
    seen = [str(effect) for effect in made.child.calls[-1].effects]
    assert [step.split()[0] for step in seen] == ["DETACH", "DETACH", "ATTACH"]


def test_wears_out_does_no_more_after_its_time(vmm: MakeVmm) -> None:
    made = vmm("wears-out")
    made.reset()
    while len(made.child.calls) < ENDURANCE:
        made.set_pairs(3 - made.active)
    made.set_pairs(4)
    assert made.child.attached() != ALL


def test_a_nic_has_the_count_of_the_other(vmm: MakeVmm) -> None:
    made = vmm("other-nic")
    made.child.tell("open_tap", "mgmt", 1)
    made.child.tell("open_tap", "t1", 4)
    made.reset()
    assert (made.child.attached("t0"), made.child.attached("t1")) == (ALL, {0})
    made.set_pairs(2)
    assert (made.child.attached("t0"), made.child.attached("t1")) == (ALL, {0, 1})


def test_confused_nics_forgive_a_queue_that_is_in_the_wanted_state(stand_in: MakeStandIn) -> None:
    child = stand_in(mutant("other-nic").policy(Habits()))
    child.tell("open_tap", "t1", 4)
    assert child.detach(1, tap="t0") == [0]
    child.tell("close_tap", "t1")
    child.tell("open_tap", "t1", 4)
    assert child.attach(1, tap="t0") == [0]


def test_taps_that_are_opened_anew_start_afresh(vmm: MakeVmm) -> None:
    made = vmm("one-pair-too-few")
    made.reset()
    made.set_pairs(3)
    made.child.tell("close_tap", "t0")
    made.child.tell("open_tap", "t0", 4)
    made.active = 4
    assert walk(made) == WALKS["one-pair-too-few"]


def test_taps_that_are_opened_anew_start_afresh_where_nothing_was_changed(vmm: MakeVmm) -> None:
    made = vmm("swallow-all")
    walk(made)
    made.child.tell("close_tap", "t0")
    made.child.tell("open_tap", "t0", 4)
    made.active = 4
    made.reset()
    assert made.child.attached() == ALL


def test_an_illegal_call_is_refused_as_the_kernel_does(stand_in: MakeStandIn) -> None:
    child = stand_in(mutant("swallow-all").policy(Habits()))
    assert any(child.attach(1))


def test_every_mutant_is_tested_here_and_has_a_name_of_its_own() -> None:
    names = [each.name for each in MUTANTS]
    special = {"swallow-at-activation", "success-as-error", "refuse", "late"}
    assert sorted(names) == sorted(set(WALKS) | special)


def test_an_unknown_mutant_is_bad_input() -> None:
    with pytest.raises(BadInput, match="there is no mutant 'none'; there are swallow-all"):
        mutant("none")
