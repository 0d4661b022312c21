"""From reset to DRIVER_OK: status, features, queues, doorbells."""

from __future__ import annotations

import pytest

from harness.errors import DeadlineExceeded, GuestError
from harness.guest.probe import device as device_module
from harness.guest.probe.driver import ProbeDriver
from harness.guest.probe.features import CONTROL, MULTIQUEUE, PLAIN, Feature
from harness.guest.probe.net import VirtioNet
from harness.guest.probe.transport import NO_VECTOR
from harness.guest.status import Status
from tests.probe.machine import Machine
from tests.probe.simulated_net import OFFERED, SimulatedNet, net_function

READY = Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK | Status.DRIVER_OK


@pytest.mark.parametrize("features", [PLAIN, CONTROL, MULTIQUEUE])
def test_exactly_the_features_asked_for_are_negotiated(
    net: VirtioNet, device: SimulatedNet, features: Feature
) -> None:
    assert net.start(features) == READY
    assert device.accepted == features


def test_offer_is_read_in_both_halves(net: VirtioNet) -> None:
    assert net.device.offered() == OFFERED
    assert Feature.VERSION_1 in net.device.offered()


def test_refused_features_end_the_start(net: VirtioNet, device: SimulatedNet) -> None:
    device.wrong.refuses_features = True
    status = net.start()
    assert Status.FEATURES_OK not in status
    assert Status.DRIVER_OK not in device.status
    assert not net.queues


def test_feature_that_is_not_offered_is_sent_all_the_same(net: VirtioNet, device: SimulatedNet) -> None:
    assert Status.FEATURES_OK not in net.start(MULTIQUEUE | Feature.RSS)
    assert Feature.RSS in device.accepted


def test_driver_says_which_features_did_not_start(driver: ProbeDriver, device: SimulatedNet) -> None:
    device.wrong.refuses_features = True
    with pytest.raises(GuestError, match=r"did not start with MAC.*MQ.*its status is <Status\.ACK"):
        driver.start()
    assert not driver.running


def test_negotiation_survives_a_device_that_forgets_before_acknowledge(
    net: VirtioNet, device: SimulatedNet
) -> None:
    device.wrong.forgets_before_acknowledge = True
    assert net.start() == READY
    assert device.accepted == MULTIQUEUE


def test_reset_that_never_ends_is_named(
    net: VirtioNet, device: SimulatedNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_module, "RESET_PATIENCE", 0.02)
    net.start()
    device.wrong.resets_never = True
    with pytest.raises(DeadlineExceeded, match="status to read 0 after a reset; last seen: status 0xf"):
        net.reset()


@pytest.mark.parametrize(
    ("features", "enabled"),
    [(PLAIN, {0, 1}), (CONTROL, {0, 1, 2}), (MULTIQUEUE, set(range(9)))],
    ids=["plain", "control", "multiqueue"],
)
def test_queues_follow_the_features(
    net: VirtioNet, device: SimulatedNet, features: Feature, enabled: set[int]
) -> None:
    net.start(features)
    assert set(net.queues) == enabled
    assert {i for i, ring in enumerate(device.rings) if ring.enabled} == enabled


def test_fewer_pairs_can_be_set_up_than_there_are(net: VirtioNet, device: SimulatedNet) -> None:
    net.start(pairs=2)
    assert [i for i, ring in enumerate(device.rings) if ring.enabled] == [0, 1, 2, 3, 8]


def test_ring_is_no_larger_than_the_device_allows(net: VirtioNet, device: SimulatedNet) -> None:
    net.start(ring=64)
    assert {ring.size for ring in device.rings} == {64}
    net.start(ring=1024)
    assert {ring.size for ring in device.rings} == {256}


def test_every_receive_ring_is_full_at_driver_ok(driver: ProbeDriver) -> None:
    assert [queue.outstanding for _, queue in driver.net.receive_queues()] == [256] * 4


def test_receive_doorbells_ring_after_driver_ok(driver: ProbeDriver, device: SimulatedNet) -> None:
    assert device.doorbells == [0, 2, 4, 6]


def test_vectors_are_told_before_a_queue_is_enabled(device: SimulatedNet, machine: Machine) -> None:
    """A device may ignore what comes later."""
    net = VirtioNet(machine, device.mac)
    net.prepare(vectors=lambda _, queues: {queue: queue + 1 for queue in queues if queue != 3})
    assert [ring.vector for ring in device.rings] == [1, 2, 3, NO_VECTOR, 5, 6, 7, 8, 9]


def test_absent_queue_has_size_0_and_is_left_out(net: VirtioNet) -> None:
    net.start(pairs=5)
    assert set(net.queues) == set(range(9))
    there, absent = net.device.queue_facts([7, 99])
    assert (there.size, there.enabled, absent.size, absent.enabled) == (256, True, 0, False)


def test_start_asks_for_no_pair_count(driver: ProbeDriver, device: SimulatedNet) -> None:
    assert driver.set_pairs(3)
    driver.reset()
    assert device.active == 1
    assert driver.believed_pairs == {0}


def test_start_leaves_no_trace_of_the_last_one_in_the_rings(
    driver: ProbeDriver, device: SimulatedNet
) -> None:
    device.place(2, b"frame of the last start")
    driver.start()
    assert driver.net.take_frames() == []
    assert all(queue.used_index == 0 for queue in driver.net.queues.values())


def test_bare_reset_stops_the_driver(driver: ProbeDriver, device: SimulatedNet) -> None:
    assert driver.running
    driver.net.reset()
    assert not driver.running
    assert device.status == 0


def test_start_costs_few_round_trips(net: VirtioNet, machine: Machine) -> None:
    machine.batches.clear()
    net.start()
    assert len(machine.batches) <= 8


def test_drivers_of_several_devices_keep_apart_in_memory(device: SimulatedNet) -> None:
    other = SimulatedNet(4, "02:00:00:00:01:07")
    machine = Machine({(0, 3): net_function(device), (0, 4): net_function(other, 0xF0000000)})
    device.memory = other.memory = machine.memory
    for share, mac in enumerate(("02:00:00:00:01:00", "02:00:00:00:01:07")):
        VirtioNet(machine, mac, share=share, shares=2).start()
    spans = [
        (min(tables), max(tables))
        for tables in ([a for ring in net.rings for a in ring.table()] for net in (device, other))
    ]
    assert spans[0][1] < spans[1][0]


def test_max_pairs_and_mac_are_read_from_the_configuration(net: VirtioNet) -> None:
    assert net.max_pairs == 4
    assert net.device.config_bytes(0, 6) == bytes.fromhex("020000000100")


def test_device_is_left_short_of_driver_ok_on_request(net: VirtioNet, device: SimulatedNet) -> None:
    assert net.prepare() == READY & ~Status.DRIVER_OK
    assert net.active_pairs is None
    assert not device.doorbells
    assert net.set_driver_ok() == READY
    assert net.active_pairs == 1


def test_extra_queues_are_set_up_and_stay_empty(net: VirtioNet, device: SimulatedNet) -> None:
    net.start(PLAIN, extra_queues=[4, 5, 99])
    assert [i for i, ring in enumerate(device.rings) if ring.enabled] == [0, 1, 4, 5]
    assert [pair for pair, _ in net.receive_queues()] == [0]
    assert net.queues[4].outstanding == 0
