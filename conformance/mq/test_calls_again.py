"""The VMM's API called a second time, or when there is nothing to do: an answer in words, and all goes on.

Tools that manage VMs time out and try again. Whether the second call succeeds or is refused is the VMM's choice; a
crash, a silent API or a NIC that no longer works is not.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import pytest

from harness.errors import VmmError
from harness.guest.probe.ejection import eject
from harness.lifecycle import check, eject_and_plug
from harness.register.mark import requirement
from harness.testbed.nic import Nic, ProbeNic
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.abilities import Ability, OfKind
from harness.vmm.base import Vm
from harness.vmm.find import KINDS
from harness.vmm.needs import needs

pytestmark = pytest.mark.backends("tap", "vhost-user")

ALL = 4


def once(call: Callable[[], object]) -> None:
    """Make a call that may be refused: what the refusal says is the VMM's choice, that it lives is not."""
    with suppress(VmmError):
        call()


class Again(NamedTuple):
    """A call that works, the same when it is out of place, and what must come last for the VM to run again."""

    ability: Ability
    first: Callable[[Nic], object]
    again: Callable[[Nic], object]
    at_last: Callable[[Nic], object] = lambda nic: None
    state: str = "running"
    """Of the VM after the second call."""


AGAIN = {
    "pause": Again(
        Ability.PAUSE,
        lambda nic: nic.vm.pause(),
        lambda nic: nic.vm.pause(),
        lambda nic: nic.vm.resume(),
        "paused",
    ),
    "resume": Again(Ability.PAUSE, lambda nic: nic.vm.pause(), lambda nic: nic.vm.resume()),
    "resume-what-runs": Again(Ability.PAUSE, lambda nic: nic.vm.state(), lambda nic: nic.vm.resume()),
    "plug-the-same-id": Again(
        Ability.HOT_PLUG, lambda nic: nic.vm.state(), lambda nic: nic.vm.add_nic(nic.config)
    ),
    "remove-an-unknown-id": Again(
        Ability.HOT_PLUG, lambda nic: nic.vm.state(), lambda nic: nic.vm.remove_nic("nobody")
    ),
}
MISPLACED = {(kind, name): call for kind in KINDS for name, call in kind.misplaced_requests.items()}


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(ask, id=name, marks=needs(OfKind(kind.kind, "these are requests of the API")))
        for (kind, name), ask in MISPLACED.items()
    ],
)
@requirement("NET-API-01")
def test_request_out_of_place_is_refused(nic: Nic, ask: Callable[[Vm], object]) -> None:
    """Refused in words, and again; the API answers, the VM runs, and the NIC works on."""
    assert nic.set_pairs(ALL)
    for _ in range(2):
        with pytest.raises(VmmError):
            ask(nic.vm)
        assert nic.vm.state() == "running"
    check(nic, ALL)


@pytest.mark.parametrize(
    "call", [pytest.param(call, id=name, marks=needs(call.ability)) for name, call in AGAIN.items()]
)
@requirement("NET-API-01")
def test_call_out_of_place_is_answered(nic: Nic, call: Again) -> None:
    """Made twice more than once works: the API answers, the state is what it was, and the NIC works on."""
    assert nic.set_pairs(ALL)
    held = nic.host().total
    call.first(nic)
    for _ in range(2):
        once(lambda: call.again(nic))
        assert nic.vm.state() == call.state
    call.at_last(nic)
    assert nic.host().total == held
    check(nic, ALL)


@pytest.fixture
def plugged(testbed: Testbed, nic: ProbeNic) -> ProbeNic:
    """A second NIC of four pairs, plugged in beside a running one, its driver started."""
    fresh = testbed.plug(nic, NicPlan())
    fresh.start()
    return fresh


@pytest.mark.backends("tap", "tap-fd", "vhost-user")
@needs(Ability.HOT_PLUG)
@requirement("NET-API-02", "NET-HOST-04")
def test_removed_again_before_the_guest_ejects_it(testbed: Testbed, nic: ProbeNic, plugged: ProbeNic) -> None:
    """Until then it works, and so does the other; then it goes, and its id and place are free again."""
    for _ in range(3):
        once(lambda: plugged.vm.remove_nic(plugged.config.id))
        assert nic.vm.state() == "running"
    for each in (nic, plugged):
        assert each.set_pairs(ALL)
        check(each, ALL)
    eject_and_plug(testbed, plugged)
    assert plugged.set_pairs(ALL)
    check(plugged, ALL)


@needs(Ability.HOT_PLUG)
@requirement("NET-API-02", "NET-HOST-04")
def test_plugged_again_before_the_guest_ejects_it(testbed: Testbed, nic: ProbeNic, plugged: ProbeNic) -> None:
    """The id is still taken: refused, and the removal goes its way; then the id is free."""
    nic.vm.remove_nic(plugged.config.id)
    with pytest.raises(VmmError):
        nic.vm.add_nic(plugged.config)
    assert nic.set_pairs(ALL)
    check(nic, ALL)
    plugged.driver.net.reset()
    eject(plugged.driver.net.bus)
    nic.vm.await_removal(plugged.config.id)
    again = testbed.plug(nic, NicPlan())
    again.start()
    assert again.set_pairs(ALL)
    check(again, ALL)


@pytest.mark.parametrize("pairs", [1, ALL], ids=["one-pair-on-a-tap-of-many", "four-pairs-on-a-tap-of-one"])
@pytest.mark.backends("tap")
@needs(Ability.HOT_PLUG)
@requirement("NET-API-03", "NET-HOST-02")
def test_tap_of_the_wrong_kind_is_refused_or_works(testbed: Testbed, nic: ProbeNic, pairs: int) -> None:
    """Plugged in while the VM runs: refused in words, or a NIC that works; the one beside it works on."""
    wrong = testbed.tap(ALL if pairs == 1 else 1)
    with suppress(VmmError):
        fresh = testbed.plug(nic, NicPlan(pairs), wrong)
        fresh.start()
        check(fresh, 1)
    assert nic.vm.state() == "running"
    assert nic.set_pairs(ALL)
    check(nic, ALL)
