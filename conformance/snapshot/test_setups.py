"""What the driver set up, crossed with the life of the VM: a device serves what it served before, and no more.

Most drivers set up less than there is: firmware one pair without a control queue, an operating system with few CPUs
some pairs of many, with gaps between its queues. A VMM that goes by its own list of queues shows here.
"""

from typing import NamedTuple

import pytest

from harness.guest.probe.features import CONTROL, MULTIQUEUE, PLAIN, Feature
from harness.guest.probe.msix import start_with_vectors
from harness.guest.probe.net import VirtioNet
from harness.host.flows import flows
from harness.lifecycle import SAME_GUEST, TRANSITIONS, Effect, Transition, check, each_of
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import NicPlan, Testbed

pytestmark = pytest.mark.backends("tap", "vhost-user")

ROUNDS = 2
PAIRS = 4
CONTROL_QUEUE = 2 * PAIRS


class Setup(NamedTuple):
    """What a driver of a NIC of four pairs negotiates and sets up; pair i is virtqueues 2i and 2i+1."""

    features: Feature
    queues: frozenset[int]
    pairs: int
    """How many pairs it can use: those that are whole, from the first on."""


def _setup(features: Feature, *queues: int) -> Setup:
    whole = [pair for pair in range(PAIRS) if {2 * pair, 2 * pair + 1} <= set(queues)]
    usable = next((i for i, pair in enumerate(whole) if i != pair), len(whole))
    return Setup(features, frozenset(queues), usable if CONTROL_QUEUE in queues else min(usable, 1))


SERVED = {
    "plain": _setup(PLAIN, 0, 1),
    "control": _setup(CONTROL, 0, 1, 2),
    "one-pair": _setup(MULTIQUEUE, 0, 1, CONTROL_QUEUE),
    "two-pairs": _setup(MULTIQUEUE, 0, 1, 2, 3, CONTROL_QUEUE),
    "second-pair-missing": _setup(MULTIQUEUE, 0, 1, 4, 5, CONTROL_QUEUE),
    "halves-missing": _setup(MULTIQUEUE, 0, 1, 2, 5, CONTROL_QUEUE),
    "no-control-queue": _setup(MULTIQUEUE, 0, 1, 2, 3),
}
"""Setups with which frames move."""
USELESS = {
    "no-queue": (),
    "control-queue-only": (CONTROL_QUEUE,),
    "receiveq-only": (0, CONTROL_QUEUE),
    "transmitq-only": (1, CONTROL_QUEUE),
    "first-pair-missing": (2, 3, CONTROL_QUEUE),
}
"""Virtqueues with which no driver can do anything, and which every VMM has to survive."""

LIFE = [step for step in TRANSITIONS if step.effect in (Effect.ONE, Effect.KEEPS)]
each_transition = each_of(LIFE)
each_served = pytest.mark.parametrize("setup", SERVED.values(), ids=SERVED)


@pytest.fixture
def nic(
    testbed: Testbed, driver: str, backend: str, setup: Setup, request: pytest.FixtureRequest
) -> ProbeNic:
    """A NIC of four pairs whose driver set up so much. Skips a transition that it cannot be taken through."""
    plan = NicPlan(PAIRS, setup.features, setup.queues)
    (nic,) = testbed.probe_nics([plan], lambda pairs: testbed.backend(backend, pairs))
    nic.start()
    transition: Transition | None = request.node.callspec.params.get("transition")
    if transition is not None and (why := transition.hindrance(nic)):
        pytest.skip(why)
    return nic


def check_served(nic: ProbeNic, pairs: int) -> None:
    """Frames reach the first `pairs` pairs and no other, as host and guest say too; and each of them sends."""
    check(nic, pairs)
    for pair in range(pairs):
        sent = nic.transmit(pair, flows(16))
        assert sent.exactly_once, f"what is sent on pair {pair} should arrive once: {sent}"


@each_served
@each_transition
@requirement("NET-LIFE-01", "NET-FEAT-02", "NET-RST-02", "NET-SNAP-01", "NET-SNAP-04")
def test_what_was_set_up_is_served_after_a_transition(
    testbed: Testbed, nic: ProbeNic, setup: Setup, transition: Transition
) -> None:
    """Its pairs before, the count that the transition leaves after, and its pairs again; more than once."""
    for _ in range(ROUNDS):
        if setup.pairs > 1:
            assert nic.set_pairs(setup.pairs)
        check_served(nic, setup.pairs)
        transition.run(testbed, nic)
        check_served(nic, transition.expected(setup.pairs) or PAIRS)


@pytest.mark.parametrize("queues", USELESS.values(), ids=USELESS)
@each_transition
@requirement("NET-LIFE-02")
def test_driver_without_a_whole_pair_is_survived(
    testbed: Testbed, nic_cold: ProbeNic, queues: tuple[int, ...], transition: Transition
) -> None:
    """It may be told to reset the device, and no more: a driver that sets up everything then has all of it."""
    if why := transition.hindrance(nic_cold):
        pytest.skip(why)
    for _ in range(ROUNDS):
        nic_cold.driver.net.start(MULTIQUEUE, queues=queues)
        nic_cold.vm.check_alive("a driver set up less than a pair")
        transition.run(testbed, nic_cold)
    nic_cold.reset()
    assert nic_cold.set_pairs(PAIRS)
    check_served(nic_cold, PAIRS)


def moved_by_traffic(nic: ProbeNic, net: VirtioNet) -> set[int]:
    """Use every virtqueue that can be used on pair 0; those whose used index moved."""
    before = {index: queue.used_index for index, queue in net.queues.items()}
    if net.control_index in net.queues:
        net.set_pairs(1)
    assert nic.receive(flows(64)).pairs >= {0}
    assert nic.transmit(0, flows(16)).exactly_once
    return {index for index, queue in net.queues.items() if queue.used_index != before[index]}


@pytest.mark.backends("tap")
@each_served
@each_of(SAME_GUEST)
@requirement("NET-LIFE-03", "NET-CFG-09", "NET-EVT-01")
def test_each_queue_keeps_its_vector(
    testbed: Testbed, nic: ProbeNic, setup: Setup, transition: Transition
) -> None:
    """Whoever is woken afterwards, it is all data queues or none; then each queue that moves interrupts by its own."""
    net = nic.driver.net
    vectors = start_with_vectors(net, setup.features, setup.queues)
    for _ in range(ROUNDS):
        transition.run(testbed, nic)
    data = {vectors.of_queue[index] for index in setup.queues if index < net.control_index}
    woken = vectors.pending() & data
    assert woken in (set(), data), f"{woken!r}: expected all of {sorted(data)}, or none"
    vectors.await_pending({vectors.of_queue[index] for index in moved_by_traffic(nic, net)})
