"""Vrings at the boundary of the count: floods, transmission above it, reset and pause."""

import pytest

from harness.guest.probe.net import VirtioNet
from harness.host.flows import flows
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.messages import Kind
from harness.lifecycle import check_receives
from harness.record.pairs import Pairs, Vrings
from harness.register.mark import requirement
from harness.testbed.nic import Nic
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = pytest.mark.backends("vhost-user")

FRAME = b"\x02\x00\x00\x00\x01\x00\x02\x00\x00\x00\x00\x01\x88\xb5" + bytes(46)
"""An Ethernet frame of the kind for experiments, which nobody counts."""


@requirement("VU-04", "NET-MQ-05")
def test_disabled_rings_get_nothing_and_are_alive(nic: Nic, net: VirtioNet, end: Backend) -> None:
    """A flood leaves the rings above n as they are; it is their being disabled alone that keeps frames out."""
    assert nic.set_pairs(2)
    before = {pair: queue.used_index for pair, queue in net.receive_queues()}
    with nic.flooded(flows(64)):
        net.await_frames(512)
    moved = {pair for pair, queue in net.receive_queues() if queue.used_index != before[pair]}
    assert Pairs(moved, "buffers were used on") == {0, 1}
    assert end.inject(4, [FRAME], force=True) == 1
    assert dict(net.receive_queues())[2].used_index == before[2] + 1


@pytest.mark.parametrize("pair", [1, 2, 3])
@requirement("VU-05", "NET-MQ-17")
def test_transmission_on_a_disabled_ring_is_discarded(nic: Nic, end: Backend, pair: int) -> None:
    """The guest's buffers come back and nothing is sent; once the pair is active the same frames are."""
    assert nic.set_pairs(1)
    sent = nic.transmit(pair, flows(64))
    found = f"{sent}, {sent.returned} buffers came back"
    assert (sent.returned, sent.lost) == (64, 64), f"all should be discarded and come back: {found}"
    assert end.ring(2 * pair + 1).counters.discarded == 64
    assert nic.set_pairs(4)
    assert nic.transmit(pair, flows(64)).exactly_once


@pytest.mark.parametrize("pairs", [1, 3])
@requirement("VU-12", "NET-RST-01")
def test_reset_stops_every_started_ring(nic: Nic, net: VirtioNet, end: Backend, pairs: int) -> None:
    """Whatever the count, GET_VRING_BASE comes for each ring that was started, and none is left running."""
    assert nic.set_pairs(pairs)
    started, mark = end.started_rings(), end.mark()
    assert started == set(range(2 * nic.max_pairs))
    net.reset()
    stopped = {
        entry.ring for entry in end.log.entries(Kind.GET_VRING_BASE, since=mark) if entry.ring is not None
    }
    assert Vrings(stopped, "stopped were") == started
    assert end.started_rings() == set()


@needs(Ability.PAUSE)
@requirement("VU-13", "NET-SNAP-04")
def test_paused_guest_is_left_alone(nic: Nic, net: VirtioNet) -> None:
    """While the VM is paused no byte of its memory changes, whatever is sent; before and after, frames arrive."""
    assert nic.set_pairs(2)
    check_receives(nic)
    nic.vm.pause()
    paused = net.memory_in_use()
    nic.send(flows(64))
    assert net.memory_in_use() == paused
    nic.vm.resume()
    landed = nic.receive(flows(64))
    assert landed.lost == 0, f"no frame should be lost after the resume: {landed}"
