"""The host fails in the middle of a change: TUNSETQUEUE returns an error, as a supervisor of system calls makes it.

No specification says what a device does then. The VMM must survive what its host does, tell the driver, and hold
what the driver believes; that is quality of implementation. QEMU aborts.
"""

import errno
from typing import NamedTuple

import pytest

from harness.guest.answer import Ack
from harness.guest.probe.net import VirtioNet, pairs_set
from harness.host.flows import flows
from harness.host.syscalls import ATTACH, DETACH, Condition, Supervisor, delay, fail
from harness.register.mark import requirement
from harness.testbed.nic import Nic
from harness.testbed.surroundings import Surroundings

pytestmark = pytest.mark.usefixtures("tunsetqueue")

SLOWNESS = 0.02
"""Seconds that a call takes in a slow kernel."""


class Change(NamedTuple):
    """A change of the count that takes three calls of one kind."""

    calls: Condition
    before: int
    after: int


CHANGES = {"attach": Change(ATTACH, 1, 4), "detach": Change(DETACH, 4, 1)}
ERRORS = {name: getattr(errno, name) for name in ("EINVAL", "EPERM", "EBUSY")}

every_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
every_position = pytest.mark.parametrize("nth", [1, 2, 3], ids=["first", "middle", "last"])
every_error = pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)


@pytest.fixture
def surroundings(surroundings: Surroundings) -> Surroundings:
    """The VMM's TUNSETQUEUE calls can be altered, and the start of its threads too."""
    return surroundings.supervised()


@every_error
@every_position
@every_change
@requirement("NET-MQ-14")
def test_failed_change_is_told_and_survived(
    nic: Nic, supervisor: Supervisor, change: Change, nth: int, error: int
) -> None:
    """The driver gets ERR, the VM lives, and the next command works."""
    assert nic.set_pairs(change.before)
    assert nic.host().count == change.before
    with supervisor.inject(fail(error, change.calls, nth)):
        assert not nic.set_pairs(change.after)
    nic.vm.check_alive("the host failed to attach or detach a queue")
    assert nic.set_pairs(2)
    assert nic.host().pairs == {0, 1}


@every_position
@every_change
@requirement("NET-MQ-14", "NET-MQ-13")
def test_failed_change_leaves_what_the_driver_believes(
    nic: Nic, supervisor: Supervisor, change: Change, nth: int
) -> None:
    """After the ERR the host holds the pairs of the last acknowledged count, not half of the refused one."""
    assert nic.set_pairs(change.before)
    with supervisor.inject(fail(errno.EINVAL, change.calls, nth)):
        assert not nic.set_pairs(change.after)
    assert nic.host().pairs == set(range(change.before))


@every_position
@every_change
@requirement("NET-MQ-29")
def test_failed_change_that_is_asked_for_again(
    nic: Nic, supervisor: Supervisor, change: Change, nth: int
) -> None:
    """The same count again fails while the host fails, and then is in force: frames land on its pairs alone."""
    assert nic.set_pairs(change.before)
    with supervisor.inject(fail(errno.EINVAL, change.calls)):
        for _ in range(nth):
            assert not nic.set_pairs(change.after)
    assert nic.set_pairs(change.after)
    assert nic.receive(flows(64)).pairs == nic.host().pairs == set(range(change.after))


def require_a_call(supervisor: Supervisor) -> None:
    """Skip where nothing was overtaken: a VMM that attaches no queue for a command could not be judged by it."""
    if not any(ATTACH.holds(call) for call in supervisor.calls):
        pytest.skip("the VMM made no TUNSETQUEUE for the command, so that no reset could overtake it")


@requirement("NET-RST-10", "NET-RST-02")
def test_slow_command_does_not_outlive_a_reset(nic: Nic, net: VirtioNet, supervisor: Supervisor) -> None:
    """On a slow kernel a reset overtakes a command: when all has settled, the next driver has one pair."""
    for _ in range(5):
        with supervisor.inject(delay(SLOWNESS, ATTACH)):
            net.post_control(pairs_set(4))
            net.publish_and_reset()
            net.start()
            supervisor.await_quiet(4 * SLOWNESS)
        assert nic.host().pairs == {0}
    assert net.set_pairs(4)
    assert nic.host().pairs == {0, 1, 2, 3}


@requirement("NET-RST-10", "NET-RST-09")
def test_no_ack_comes_after_a_reset(net: VirtioNet, supervisor: Supervisor) -> None:
    """On a slow kernel a reset overtakes a command: once status 0 is read, its buffer is the driver's again."""
    with supervisor.inject(delay(SLOWNESS, ATTACH)):
        for _ in range(5):
            ack = net.post_control(pairs_set(4))
            net.publish_and_reset()
            at_reset = net.bus.memory.read(ack, 1)[0]
            supervisor.await_quiet(4 * SLOWNESS)
            later = net.bus.memory.read(ack, 1)[0]
            assert later == at_reset, f"an ack, {later}, came after the reset that overtook its command"
            net.start()
    require_a_call(supervisor)


@requirement("NET-RST-10", "NET-RST-02")
def test_command_behind_an_overtaken_one_is_answered(
    nic: Nic, net: VirtioNet, supervisor: Supervisor
) -> None:
    """On a slow kernel a reset overtakes a command: the next driver's first command is heard all the same."""
    with supervisor.inject(delay(SLOWNESS, ATTACH)):
        net.post_control(pairs_set(4))
        net.publish_and_reset()
        net.start()
        assert net.set_pairs(2).ack in (Ack.OK, Ack.ERR)
    require_a_call(supervisor)
