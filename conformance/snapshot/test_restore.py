"""Snapshot and restore: the count is part of the device's state, and the guest goes on with it."""

import socket

import pytest

from harness.host.flows import flows
from harness.lifecycle import (
    check,
    check_frames,
    restore,
    resume_restored,
    save,
    save_and_restore,
    save_and_resume,
    snapshot_folders,
)
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs


@pytest.fixture
def cycles(steps: int) -> int:
    """How often a test of endurance does something: 50 times for --steps 2000."""
    return max(5, steps // 40)


def holdings(bed: Testbed, nic: ProbeNic) -> dict[str, int]:
    """How much of everything is there that may leak."""
    return {
        "descriptors of the VMM": nic.vm.process.open_descriptors(),
        "queues of the tap": nic.host().total,
        "interfaces": len(socket.if_nameindex()),
        "snapshots": len(snapshot_folders(bed.folder)),
    }


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, tuple[int, int]]:
    """What there is more of than before: before and after."""
    return {name: (before[name], count) for name, count in after.items() if count > before[name]}


pytestmark = [needs(Ability.SNAPSHOT), pytest.mark.backends("tap", "vhost-user")]


@pytest.mark.backends("tap")
@pytest.mark.parametrize("pairs", [1, 2, 3, 4])
@requirement("NET-SNAP-01")
def test_count_is_there_before_resume(testbed: Testbed, nic: ProbeNic, pairs: int) -> None:
    """A restored VM holds its pairs while it is still paused, and after; frames land on them without a command."""
    assert nic.set_pairs(pairs)
    snapshot = save(testbed, nic)
    restore(testbed, nic, snapshot, resume=False)
    assert nic.host().pairs == set(range(pairs))
    resume_restored(testbed, nic, snapshot)
    check(nic, pairs)


@pytest.mark.parametrize("pairs", [1, 3, 4])
@requirement("NET-SNAP-01", "NET-SNAP-02", "VU-14")
def test_same_snapshot_restores_twice(testbed: Testbed, nic: ProbeNic, pairs: int) -> None:
    """What happened after the first restore does not show in the second."""
    assert nic.set_pairs(pairs)
    snapshot = save(testbed, nic)
    restore(testbed, nic, snapshot)
    assert nic.set_pairs(2)
    restore(testbed, nic, snapshot)
    assert nic.host().pairs == set(range(pairs))
    assert nic.receive(flows(64)).pairs == set(range(pairs))


@pytest.mark.parametrize(("first", "second"), [(2, 4), (4, 1)], ids=["more-later", "fewer-later"])
@requirement("NET-SNAP-01", "NET-API-04")
def test_two_snapshots_of_one_life(testbed: Testbed, nic: ProbeNic, first: int, second: int) -> None:
    """Saved at one count and, going on, at another: each snapshot has its own."""
    saved = []
    for pairs in (first, second):
        assert nic.set_pairs(pairs)
        saved.append((save(testbed, nic), pairs))
        nic.vm.resume()
    for snapshot, pairs in saved:
        restore(testbed, nic, snapshot)
        check(nic, pairs)


@pytest.mark.parametrize("pairs", [2, 3, 4])
@requirement("NET-SNAP-01", "NET-SNAP-02")
def test_restored_count_is_used_once(testbed: Testbed, nic: ProbeNic, pairs: int) -> None:
    """Restored at n pairs, then reset twice: one pair each time, never n again; then commands work."""
    assert nic.set_pairs(pairs)
    save_and_restore(testbed, nic)
    for _ in range(2):
        nic.reset()
        check(nic, 1)
    assert nic.set_pairs(3)
    check(nic, 3)


@requirement("NET-SNAP-01")
def test_restored_before_any_driver(testbed: Testbed, nic_cold: ProbeNic) -> None:
    """Saved with the driver never started: after the restore it starts, with one pair, and counts work."""
    save_and_restore(testbed, nic_cold)
    nic_cold.start()
    assert nic_cold.host().pairs == {0}
    assert nic_cold.set_pairs(3)
    check_frames(nic_cold, 3)


@requirement("NET-SNAP-01", "NET-RST-02")
def test_restored_after_a_bare_reset(testbed: Testbed, nic: ProbeNic) -> None:
    """Saved after a reset that no driver followed: the count from before the reset does not come back."""
    assert nic.set_pairs(4)
    nic.driver.net.reset()
    save_and_restore(testbed, nic)
    nic.start()
    assert nic.host().pairs == {0}
    assert nic.receive(flows(64)).pairs == {0}


@needs(Ability.SEVERAL_NICS)
@requirement("NET-SNAP-01", "NET-HOST-03")
def test_each_nic_keeps_its_own_count(testbed: Testbed, driver: str, backend: str) -> None:
    """Saved with NICs at different counts, each goes on at its own."""
    first, second = testbed.probe_nics([NicPlan()] * 2, lambda pairs: testbed.backend(backend, pairs))
    for nic, pairs in ((first, 2), (second, 3)):
        nic.start()
        assert nic.set_pairs(pairs)
    save_and_restore(testbed, first)
    for nic, pairs in ((first, 2), (second, 3)):
        assert nic.host().pairs == set(range(pairs))
        assert nic.receive(flows(64)).pairs == set(range(pairs))


@pytest.mark.slow
@pytest.mark.backends("tap")
@requirement("NET-SNAP-01")
def test_many_cycles_leak_nothing(testbed: Testbed, nic: ProbeNic, cycles: int) -> None:
    """Restored as often: the count stays, and no descriptor, queue, interface or file is left over."""
    assert nic.set_pairs(3)
    save_and_restore(testbed, nic)
    before = holdings(testbed, nic)
    for _ in range(cycles):
        save_and_restore(testbed, nic)
        assert nic.host().pairs == {0, 1, 2}
    check(nic, 3)
    assert not grown(before, holdings(testbed, nic))


@pytest.mark.slow
@pytest.mark.backends("tap")
@requirement("NET-SNAP-04")
def test_many_snapshots_leak_nothing(testbed: Testbed, nic: ProbeNic, cycles: int) -> None:
    """Saved as often by one process, which goes on each time: the same."""
    assert nic.set_pairs(3)
    save_and_resume(testbed, nic)
    before = holdings(testbed, nic)
    for _ in range(cycles):
        save_and_resume(testbed, nic)
        assert nic.host().pairs == {0, 1, 2}
    check(nic, 3)
    assert not grown(before, holdings(testbed, nic))
