"""The back end ends and comes back: the count from before is in force again."""

import pytest

from harness.guest.probe.net import VirtioNet
from harness.host.flows import flows
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user_backend import VhostUser
from harness.nic import Nic
from harness.requirements import requirement

pytestmark = pytest.mark.backends("vhost-user")

COMES_BACK_WITHIN = 5.0
RESTARTS = 50


@pytest.mark.parametrize("pairs", [1, 2, 3, 4])
@requirement("VU-11")
def test_count_is_in_force_after_a_restart(nic: Nic, port: VhostUser, pairs: int) -> None:
    """A back end that starts anew is told of the count without any command, and frames land accordingly."""
    assert nic.set_pairs(pairs)
    port.restart()
    port.end.wait_pairs(pairs, within=COMES_BACK_WITHIN)
    landed = nic.receive(flows(64))
    assert landed.whole, landed
    assert landed.pairs == nic.host().pairs == set(range(pairs)), landed


@requirement("VU-11", "VU-09")
def test_no_ring_above_the_count_is_enabled_for_a_moment(nic: Nic, port: VhostUser) -> None:
    """While a back end is told of two pairs again, no vring of another is enabled."""
    assert nic.set_pairs(2)
    port.restart()
    _await_rings(port.end, 4)
    assert {change.ring for change in port.end.enables() if change.on} == {0, 1, 2, 3}


@requirement("VU-11", "NET-RST-02")
def test_reset_after_a_restart_brings_one_pair(nic: Nic, port: VhostUser) -> None:
    """The driver's own reset still ends multiqueue, and commands work after it."""
    assert nic.set_pairs(3)
    port.restart()
    _await_rings(port.end, 6)
    nic.reset()
    assert nic.host().pairs == {0}
    assert nic.set_pairs(2)
    assert nic.receive(flows(64)).pairs == nic.host().pairs == {0, 1}


@pytest.mark.slow
@requirement("VU-11")
def test_many_restarts_under_traffic_leak_nothing(nic: Nic, net: VirtioNet, port: VhostUser) -> None:
    """Again and again, with frames coming all the time: traffic goes on, and the VMM holds no more descriptors."""
    assert nic.set_pairs(2)
    port.restart()
    _await_rings(port.end, 4)
    held = nic.vm.process.open_descriptors()
    with nic.flooded(flows(64)):
        for _ in range(RESTARTS):
            port.restart()
            _await_rings(port.end, 4)
            net.await_frames(64)
    assert nic.vm.process.open_descriptors() <= held
    assert nic.set_pairs(4)
    assert nic.host().pairs == {0, 1, 2, 3}


def _await_rings(end: Backend, count: int) -> None:
    """Wait until at least the first `count` vrings pass packets."""
    first = set(range(count))
    end.wait(
        f"vrings 0 to {count - 1} to be started and enabled",
        lambda b: first <= b.enabled_rings() & b.started_rings(),
        within=COMES_BACK_WITHIN,
    )
