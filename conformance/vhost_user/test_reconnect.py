"""The back end ends and comes back: the count from before is in force again."""

import pytest

from harness.deadline import wait_until
from harness.errors import Owner
from harness.guest.probe.net import VirtioNet
from harness.host.flows import flows
from harness.host.vhost_user.faults import CloseOn
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user_backend import VhostUser
from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = pytest.mark.backends("vhost-user")

RESTARTS = 50


@pytest.mark.parametrize("pairs", [1, 2, 3, 4])
@requirement("VU-11")
def test_count_is_in_force_after_a_restart(nic: Nic, port: VhostUser, pairs: int) -> None:
    """A back end that starts anew is told of the count without any command, and frames land accordingly."""
    assert nic.set_pairs(pairs)
    port.restart()
    assert port.end.enabled_rings() == set(range(2 * pairs))
    check(nic, pairs)


@requirement("VU-11", "VU-09")
def test_no_ring_above_the_count_is_enabled_for_a_moment(nic: Nic, port: VhostUser) -> None:
    """While a back end is told of two pairs again, no vring of another is enabled."""
    assert nic.set_pairs(2)
    port.restart()
    assert port.end.switched(on=True) == {0, 1, 2, 3}


@requirement("VU-11", "NET-RST-02")
def test_reset_after_a_restart_brings_one_pair(nic: Nic, port: VhostUser) -> None:
    """The driver's own reset still ends multiqueue, and commands work after it."""
    assert nic.set_pairs(3)
    port.restart()
    nic.reset()
    assert nic.host().pairs == {0}
    assert nic.set_pairs(2)
    assert nic.receive(flows(64)).pairs == nic.host().pairs == {0, 1}


@pytest.mark.parametrize(
    "kind", [Kind.SET_FEATURES, Kind.SET_VRING_ADDR, Kind.SET_VRING_ENABLE], ids=lambda k: k.name
)
@requirement("VU-11")
def test_second_loss_while_it_comes_back_is_survived(nic: Nic, port: VhostUser, kind: Kind) -> None:
    """A back end that ends again before it was told everything is connected to once more, and then serves."""
    assert nic.set_pairs(4)
    port.stop()
    again = CloseOn(kind, nth=1)
    port.start(again)
    port.await_set_up(4)
    assert again.struck
    assert nic.receive(flows(64)).pairs == nic.host().pairs == {0, 1, 2, 3}


@pytest.mark.slow
@requirement("VU-11")
def test_many_restarts_under_traffic_leak_nothing(nic: Nic, net: VirtioNet, port: VhostUser) -> None:
    """Again and again, with frames coming all the time: traffic goes on, and the VMM holds no more descriptors."""
    assert nic.set_pairs(2)
    port.restart()
    held = nic.vm.process.open_descriptors()
    with nic.flooded(flows(64)):
        for _ in range(RESTARTS):
            port.restart()
            port.await_set_up(2)
            net.await_frames(64)
    held_now = nic.vm.process.open_descriptors
    wait_until(
        "no more descriptors than before",
        lambda: held_now() <= held,
        owed_by=Owner.VMM,
        within=2,
        last=held_now,
    )
    assert nic.set_pairs(4)
    assert nic.host().pairs == {0, 1, 2, 3}
