"""The back end refuses, falls silent, or goes away in the middle of a change of the count.

The protocol says that a reply other than 0 reports failure, and leaves to the VMM what it makes of it. It must
survive, tell the driver, and hold what the driver believes; that is quality of implementation.
"""

import pytest

from harness.guest.answer import Ack
from harness.host.flows import flows
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.faults import CloseOn, NeverAnswer, Refuse
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user_backend import VhostUser
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = pytest.mark.backends("vhost-user")

COMES_BACK_WITHIN = 5.0
RINGS = {"first": 2, "middle": 3, "last": 7}
every_ring = pytest.mark.parametrize("ring", RINGS.values(), ids=RINGS)


@every_ring
@requirement("VU-16", "NET-MQ-14")
def test_refusal_is_told_and_survived(nic: Nic, end: Backend, acknowledged: None, ring: int) -> None:
    """The driver gets an error, the VM and its API live, and the next command works."""
    refusal = Refuse(Kind.SET_VRING_ENABLE, ring)
    end.arm(refusal)
    assert not nic.set_pairs(4)
    assert refusal.struck
    assert nic.vm.state() == "running"
    end.disarm(refusal)
    assert nic.set_pairs(3)
    assert nic.receive(flows(64)).pairs == nic.host().pairs == {0, 1, 2}


@every_ring
@requirement("VU-16", "NET-MQ-13")
def test_refusal_leaves_what_the_driver_believes(
    nic: Nic, end: Backend, acknowledged: None, ring: int
) -> None:
    """After the error the rings of the last acknowledged count are enabled, not half of the refused one."""
    assert nic.set_pairs(1)
    end.arm(Refuse(Kind.SET_VRING_ENABLE, ring, nth=1))
    assert not nic.set_pairs(4)
    assert end.enabled_rings() == {0, 1}


REFUSED = (
    [(1, 4, ring) for ring in (0, 2, 4, 7)] + [(4, 2, ring) for ring in (0, 4, 5, 7)] + [(3, 1, 2), (3, 1, 5)]
)


@pytest.mark.parametrize(
    ("before", "after", "ring"),
    REFUSED,
    ids=[f"{before}-to-{after}-ring-{ring}" for before, after, ring in REFUSED],
)
@requirement("VU-16", "NET-MQ-13", "NET-MQ-29")
def test_every_refusal_is_told(
    nic: Nic, end: Backend, acknowledged: None, before: int, after: int, ring: int
) -> None:
    """Whichever ring is refused, growing or shrinking: ERR if it was, the rings from before; then the same works."""
    assert nic.set_pairs(before)
    refusal = Refuse(Kind.SET_VRING_ENABLE, ring)
    end.arm(refusal)
    told = bool(nic.set_pairs(after))
    assert told is not bool(refusal.struck), (
        f"told {'OK' if told else 'ERR'}, and {refusal.struck!r}, refused"
    )
    assert end.enabled_rings() == set(range(2 * (after if told else before)))
    end.disarm(refusal)
    assert nic.set_pairs(after)
    assert end.enabled_rings() == set(range(2 * after))


@every_ring
@requirement("VU-16", "NET-MQ-29")
def test_refused_count_that_is_asked_for_again(nic: Nic, end: Backend, acknowledged: None, ring: int) -> None:
    """Refused again while the back end refuses, as the first time; then it is in force."""
    refusal = Refuse(Kind.SET_VRING_ENABLE, ring)
    end.arm(refusal)
    for heard in (1, 2):
        assert not nic.set_pairs(4)
        assert refusal.struck >= heard
    end.disarm(refusal)
    assert nic.set_pairs(4)
    assert nic.receive(flows(64)).pairs == nic.host().pairs == {0, 1, 2, 3}


@requirement("VU-16")
def test_silent_back_end_leaves_the_api_alive(
    nic: Nic, port: VhostUser, end: Backend, acknowledged: None
) -> None:
    """A command that the back end never answers gets no OK; the API answers, and a lost connection frees all."""
    silence = NeverAnswer(Kind.SET_VRING_ENABLE, ring=2, nth=1)
    end.arm(silence)
    assert nic.set_pairs(2).ack is not Ack.OK
    assert silence.struck
    assert nic.vm.state() == "running"
    end.disconnect()
    port.await_set_up(1)
    assert nic.vm.state() == "running"
    landed = nic.receive(flows(64))
    assert landed.lost == 0, f"no frame should be lost once it is back: {landed}"


@every_ring
@requirement("VU-16", "VU-11")
def test_loss_in_the_middle_of_a_command_is_survived(
    nic: Nic, port: VhostUser, end: Backend, ring: int
) -> None:
    """The connection breaks during the change: once it is back, the back end holds what the driver believes."""
    loss = CloseOn(Kind.SET_VRING_ENABLE, ring, nth=1)
    end.arm(loss)
    nic.set_pairs(4)
    end.wait("the connection to break", lambda b: loss.struck, within=COMES_BACK_WITHIN)
    port.await_set_up(1)
    assert nic.host().pairs == nic.driver.believed_pairs
    assert nic.set_pairs(2)
    assert nic.receive(flows(64)).pairs == nic.host().pairs == {0, 1}


@requirement("VU-16", "VU-11")
def test_command_without_a_back_end(nic: Nic, port: VhostUser) -> None:
    """With no back end there the VM lives, and the next one is told whatever the driver was."""
    assert nic.set_pairs(3)
    port.stop()
    nic.set_pairs(2)
    assert nic.vm.state() == "running"
    port.start()
    port.await_set_up(1)
    assert nic.receive(flows(64)).pairs == nic.host().pairs == nic.driver.believed_pairs
