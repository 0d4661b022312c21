"""Options that cannot work: refused at once, in words that name the problem, and without a crash."""

import pytest

from harness.lifecycle import check_refusal
from harness.register.mark import requirement
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.abilities import Ability, OfKind
from harness.vmm.base import BadOptions
from harness.vmm.find import KINDS
from harness.vmm.needs import needs

BAD = {(kind, name): bad for kind in KINDS for name, bad in kind.bad_options.items()}


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(bad, id=name, marks=needs(OfKind(kind.kind, "these are options")))
        for (kind, name), bad in BAD.items()
    ],
)
@requirement("NET-HOST-02")
def test_bad_value_is_refused_in_words(testbed: Testbed, bad: BadOptions) -> None:
    """The VMM ends by itself with an error status, names what is wrong, and neither panics nor dies of a signal."""
    refused = testbed.refusal(*bad.words, shared_memory=bad.shared_memory)
    check_refusal(refused)
    assert any(word in refused.output for word in bad.told), (
        f"the refusal should name one of {bad.told}: {refused}"
    )


@needs(Ability.NAMES_TAP_QUEUES)
@pytest.mark.usefixtures("own_sysfs")
@requirement("NET-HOST-02")
def test_single_queue_tap_is_refused_for_several_pairs(testbed: Testbed) -> None:
    """A tap that was made for one queue cannot carry two pairs, and the VMM says so."""
    refused = testbed.refusal(nics=[testbed.nic_config(NicPlan(2), 0, testbed.tap(1))])
    check_refusal(refused)
    assert "multiqueue" in refused.output, f"the refusal should speak of multiqueue: {refused}"
