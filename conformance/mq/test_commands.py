"""The control queue as such: order, acks, and commands that a device does not know."""

import pytest

from harness.guest.answer import Ack
from harness.guest.probe.net import HASH_CONFIG, RSS_CONFIG, Class, VirtioNet, pairs_set
from harness.host.flows import flows
from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = pytest.mark.backends("tap", "vhost-user")


@pytest.mark.parametrize("pairs", [2, 99], ids=["accepted", "refused"])
@requirement("NET-MQ-18")
def test_each_command_is_used_once_with_its_ack(nic: Nic, net: VirtioNet, pairs: int) -> None:
    """One used entry for each command, an ack in its byte, and a used length that claims no more than that byte."""
    answer = net.control(pairs_set(pairs))
    assert answer.ack in (Ack.OK, Ack.ERR)
    assert answer.written in (0, 1), (
        f"{answer}, and its used length is {answer.written}: at most 1 was written"
    )
    assert net.queues[net.control_index].outstanding == 0


@pytest.mark.parametrize("pairs", [2, 99], ids=["accepted", "refused"])
@requirement("NET-MQ-27")
def test_used_length_of_a_command_is_one(nic: Nic, net: VirtioNet, pairs: int) -> None:
    """A driver that goes by the used length sees that the ack was written."""
    answer = net.control(pairs_set(pairs))
    assert answer.written == 1, f"{answer}, and its used length is {answer.written}: expected 1"


@requirement("NET-MQ-19")
def test_commands_of_one_kick_are_done_in_order(nic: Nic, net: VirtioNet) -> None:
    """Three VQ_PAIRS_SET behind a single doorbell are each acknowledged, and the last one stands."""
    for pairs in (2, 4, 3):
        net.post_control(pairs_set(pairs))
    assert [answer.ack for answer in net.kick_control(3)] == [Ack.OK, Ack.OK, Ack.OK]
    check(nic, 3)


@requirement("NET-MQ-19", "NET-MQ-13")
def test_refused_command_in_the_middle_of_a_kick(nic: Nic, net: VirtioNet) -> None:
    """Commands behind it are carried out all the same: each has its own answer, and the last accepted one stands."""
    for pairs in (2, 99, 3, 0):
        net.post_control(pairs_set(pairs))
    acks = [answer.ack for answer in net.kick_control(4)]
    assert acks == [Ack.OK, Ack.ERR, Ack.OK, Ack.ERR]
    assert nic.host().pairs == {0, 1, 2}
    landed = nic.receive(flows(64))
    assert landed.exactly_once
    assert landed.pairs == {0, 1, 2}


@requirement("NET-MQ-09")
def test_the_same_count_again_changes_nothing(nic: Nic) -> None:
    """The count in force is acknowledged, and no queue is touched for it."""
    assert nic.set_pairs(3)
    before = nic.host()
    nic.backend.changes()
    assert nic.driver.set_pairs(3)
    assert nic.backend.changes() == []
    assert nic.host() == before
    assert nic.receive(flows(64)).pairs == {0, 1, 2}


UNKNOWN = {
    "RSS_CONFIG": (bytes([Class.MQ, RSS_CONFIG]), bytes(60)),
    "HASH_CONFIG": (bytes([Class.MQ, HASH_CONFIG]), bytes(48)),
    "unknown-MQ-command": (bytes([Class.MQ, 7]), bytes([3, 0])),
    "unknown-class": (bytes([0x77, 0]), bytes([3, 0])),
}


@pytest.mark.parametrize("command", UNKNOWN.values(), ids=UNKNOWN)
@requirement("NET-MQ-23", "NET-MQ-24", "NET-RSS-02", "NET-RSS-03")
def test_unknown_command_is_refused(nic: Nic, net: VirtioNet, command: tuple[bytes, bytes]) -> None:
    """It is answered ERR, the count stays, and the queue goes on working."""
    assert nic.set_pairs(2)
    before = nic.host().pairs
    assert not net.control(list(command))
    assert nic.host().pairs == before
    assert nic.set_pairs(4)
