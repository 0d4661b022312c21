"""Changes under traffic, at random: the seed in the run's header repeats them."""

from random import Random

import pytest

from harness.guest.probe.net import VirtioNet
from harness.host.flows import flows
from harness.record.pairs import Pairs
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = pytest.mark.backends("tap", "vhost-user")


@requirement("NET-MQ-05", "NET-MQ-06", "NET-MQ-25")
def test_boundary_holds_under_a_flood(nic: Nic, net: VirtioNet, rng: Random) -> None:
    """With frames arriving all the time, no ring above the count moves between an ack and the next command."""
    with nic.flooded(flows(64)):
        for pairs in rng.choices(range(1, 5), k=60):
            assert nic.set_pairs(pairs)
            at_the_ack = {pair: queue.used_index for pair, queue in net.receive_queues()}
            net.await_frames(256)
            moved = {pair for pair, queue in net.receive_queues() if queue.used_index != at_the_ack[pair]}
            assert Pairs(moved, "buffers were used on") <= set(range(pairs))


@pytest.mark.slow
@requirement("NET-MQ-25", "NET-MQ-08", "NET-MQ-13", "NET-RST-02")
def test_random_walk(nic: Nic, rng: Random, steps: int) -> None:
    """Legal and illegal counts, resets, and traffic both ways, in any order: the witnesses agree at every step."""
    some = flows(16)
    for step in range(steps):
        match rng.choices(["count", "illegal", "reset", "receive", "transmit"], [40, 10, 5, 30, 15])[0]:
            case "count":
                assert nic.set_pairs(rng.randint(1, nic.max_pairs))
            case "illegal":
                assert not nic.set_pairs(rng.choice([0, 5, 6, 0x8000, 0xFFFF]))
            case "reset":
                nic.reset()
            case "receive":
                assert nic.receive(some).exactly_once
            case "transmit":
                assert nic.transmit(rng.choice(sorted(nic.driver.believed_pairs)), some).exactly_once
        assert nic.witnesses().agree, f"after step {step} all should agree: {nic.witnesses()}"
