"""What each transition in a device's life does to the count, and that all three witnesses agree on it."""

from collections.abc import Sequence
from random import Random

import pytest

from harness.lifecycle import PLUGGED_AGAIN, TRANSITIONS, Transition, check, check_count, each_of
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.abilities import SAVING, Ability
from harness.vmm.needs import needs

pytestmark = pytest.mark.backends("tap", "vhost-user")


each_transition = each_of(TRANSITIONS)
HERE = [step for step in TRANSITIONS if not SAVING & set(step.needs)]
"""Transitions that need nothing of the host."""


@pytest.fixture(autouse=True)
def judged(request: pytest.FixtureRequest, nic: ProbeNic) -> None:
    """Skip a transition through which this NIC cannot be taken."""
    step: Transition | None = request.node.callspec.params.get("transition")
    if step and (why := step.hindrance(nic)):
        pytest.skip(why)


@each_transition
@pytest.mark.parametrize("pairs", [1, 2, 3, 4])
@requirement("NET-RST-02", "NET-SNAP-01", "NET-SNAP-04", "NET-MQ-03")
def test_count_after_a_transition(
    testbed: Testbed, nic: ProbeNic, transition: Transition, pairs: int
) -> None:
    """The count is what the transition demands, without any command; then commands work."""
    assert nic.set_pairs(pairs)
    transition.run(testbed, nic)
    check_count(nic, transition.expected(pairs))
    assert nic.set_pairs(2)
    check(nic, 2)


@each_transition
@requirement("NET-RST-02", "NET-SNAP-01", "NET-SNAP-02", "NET-SNAP-04")
def test_reset_after_a_transition(testbed: Testbed, nic: ProbeNic, transition: Transition) -> None:
    """Whatever a transition left in force, the guest's next reset brings one pair, and commands work again."""
    assert nic.set_pairs(3)
    transition.run(testbed, nic)
    nic.reset()
    check(nic, 1)
    assert nic.set_pairs(4)
    check(nic, 4)


@pytest.mark.backends("tap", "tap-fd", "vhost-user")
@needs(*PLUGGED_AGAIN.needs)
@pytest.mark.parametrize("pairs", [1, 2, 4])
@requirement("NET-HOST-04", "NET-MQ-03")
def test_count_after_being_plugged_again(testbed: Testbed, nic: ProbeNic, pairs: int) -> None:
    """A NIC that was removed at n and plugged in again, on the same tap, begins with one pair, twice over."""
    plugged = testbed.plug(nic, NicPlan())
    plugged.start()
    for _ in range(2):
        assert plugged.set_pairs(pairs)
        PLUGGED_AGAIN.run(testbed, plugged)
        check_count(plugged, PLUGGED_AGAIN.expected(pairs))
    assert plugged.set_pairs(3)
    check(plugged, 3)


def walk(bed: Testbed, nic: ProbeNic, rng: Random, known: Sequence[Transition], length: int) -> None:
    """Counts and transitions in any order: after each step the witnesses agree on what should be in force."""
    count: int | None = 1
    lacking = [step for step in known if any(need.lacking(nic.vm.vmm) for need in step.needs)]
    here = [step for step in known if step not in lacking and not step.hindrance(nic)]
    for step in rng.choices(here, k=length):
        if rng.random() < 0.7:
            count = rng.randint(1, 4)
            assert nic.set_pairs(count)
        step.run(bed, nic)
        count = step.expected(count)
        check_count(nic, count)


@pytest.mark.slow
@requirement("NET-RST-02", "NET-SNAP-04", "NET-RST-06")
def test_random_chain_of_transitions(testbed: Testbed, nic: ProbeNic, rng: Random) -> None:
    """A walk through what needs nothing of the host."""
    walk(testbed, nic, rng, HERE, length=8)


@pytest.mark.slow
@needs(Ability.SNAPSHOT)
@requirement("NET-RST-02", "NET-SNAP-01", "NET-SNAP-02", "NET-SNAP-03", "NET-SNAP-04", "NET-RST-06")
def test_random_chain_with_restores(testbed: Testbed, nic: ProbeNic, rng: Random) -> None:
    """A walk through all transitions, restores and migrations among them."""
    walk(testbed, nic, rng, TRANSITIONS, length=12)
