"""The VM is saved while a VQ_PAIRS_SET is under way: the driver is answered after the restore, and told the truth."""

import pytest

from harness.guest.answer import Ack
from harness.guest.probe.net import VirtioNet, pairs_set
from harness.host.syscalls import ATTACH, DETACH, delay, supervisor_of
from harness.lifecycle import check, migrate, restore, save
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.surroundings import Surroundings
from harness.testbed.testbed import Testbed
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = needs(Ability.SNAPSHOT)

SLOW = 0.2
"""Seconds that the kernel takes for one queue."""
each_change = pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 2)], ids=["grow", "shrink"])


@pytest.fixture
def surroundings(surroundings: Surroundings) -> Surroundings:
    """The VMM's TUNSETQUEUE calls can be delayed."""
    return surroundings.supervised()


def ask(net: VirtioNet, pairs: int) -> None:
    """Send VQ_PAIRS_SET and do not wait for its answer."""
    net.post_control(pairs_set(pairs))
    net.ring_control()


@each_change
@requirement("NET-SNAP-08", "NET-SNAP-01")
def test_saved_right_behind_the_doorbell(
    testbed: Testbed, nic: ProbeNic, net: VirtioNet, before: int, after: int
) -> None:
    """Whether the command was carried out before or after: OK, and the pairs that it asked for."""
    assert nic.set_pairs(before)
    ask(net, after)
    restore(testbed, nic, save(testbed, nic))
    assert [answer.ack for answer in net.await_control()] == [Ack.OK]
    check(nic, after)


@pytest.mark.usefixtures("tunsetqueue")
@each_change
@requirement("NET-SNAP-08", "NET-SNAP-01")
def test_saved_amid_a_slow_change(
    testbed: Testbed, nic: ProbeNic, net: VirtioNet, before: int, after: int
) -> None:
    """The kernel is at the first of several queues when the VM is paused: the same."""
    assert nic.set_pairs(before)
    supervisor = supervisor_of(nic.vm.process)
    assert supervisor is not None
    with supervisor.inject(delay(SLOW, ATTACH | DETACH)):
        ask(net, after)
        snapshot = save(testbed, nic)
    restore(testbed, nic, snapshot)
    assert [answer.ack for answer in net.await_control()] == [Ack.OK]
    check(nic, after)


@needs(Ability.MIGRATION)
@each_change
@requirement("NET-SNAP-08", "NET-SNAP-01")
def test_migrated_right_behind_the_doorbell(
    testbed: Testbed, nic: ProbeNic, net: VirtioNet, before: int, after: int
) -> None:
    """The destination or the source answers, once, and the destination holds what was asked for."""
    assert nic.set_pairs(before)
    ask(net, after)
    migrate(testbed, nic)
    assert [answer.ack for answer in net.await_control()] == [Ack.OK]
    check(nic, after)
