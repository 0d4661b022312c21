"""VQ_PAIRS_SET as the back end hears of it: SET_VRING_ENABLE, in time, and nothing for a refused count."""

import time

import pytest

from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.faults import Delay
from harness.host.vhost_user.features import ProtocolFeature
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.offer import Offer
from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import Nic
from harness.testbed.testbed import NicPlan, Testbed

pytestmark = pytest.mark.backends("vhost-user")

every_count = pytest.mark.parametrize("pairs", [1, 2, 3, 4])
LATENESS = 0.3


@every_count
@pytest.mark.issue_8306
@requirement("VU-08")
def test_count_enables_its_rings_and_disables_the_others(nic: Nic, end: Backend, pairs: int) -> None:
    """By the time of the ack the VMM has said it: vrings below 2n enabled, the others disabled."""
    assert nic.set_pairs(5 - pairs)
    assert nic.set_pairs(pairs)
    assert nic.host().consistent
    assert end.enabled_rings() == set(range(2 * pairs))
    assert end.started_rings() == set(range(2 * nic.max_pairs))


@pytest.mark.parametrize("pairs", [2, 4])
@requirement("VU-08")
def test_ack_waits_for_a_slow_back_end(nic: Nic, end: Backend, acknowledged: None, pairs: int) -> None:
    """A VMM that asks for replies shows the ack only after the last one: the count is in force by then."""
    slow = Delay(Kind.SET_VRING_ENABLE, ring=2 * pairs - 1, nth=1, delay=LATENESS)
    end.arm(slow)
    began = time.monotonic()
    assert nic.set_pairs(pairs)
    assert end.enabled_rings() == set(range(2 * pairs))
    assert slow.struck
    assert time.monotonic() - began >= LATENESS, (
        f"the ack came before the last reply, {LATENESS} s late, was sent"
    )


@requirement("VU-08", "NET-MQ-25")
def test_pairs_that_stay_are_never_disabled(nic: Nic, end: Backend) -> None:
    """Growing and shrinking touch only the pairs that come or go: no vring that stays is off for a moment."""
    count = 1
    for pairs in (4, 2, 3, 1, 2):
        mark = end.mark()
        assert nic.set_pairs(pairs)
        assert end.enabled_rings() == set(range(2 * pairs))
        assert end.switched(mark, on=False) & set(range(2 * min(count, pairs))) == set()
        count = pairs


@pytest.mark.parametrize("count", [0, 5, 0x8001, 0xFFFF])
@requirement("NET-MQ-13", "VU-08")
def test_nothing_is_sent_for_a_refused_count(nic: Nic, end: Backend, count: int) -> None:
    """The back end hears of a legal count, and of an illegal one not a word."""
    mark = end.mark()
    assert nic.set_pairs(2)
    assert nic.host().pairs == {0, 1}
    assert end.switched(mark, on=True) >= {2, 3}
    mark = end.mark()
    assert not nic.set_pairs(count)
    assert nic.host().pairs == {0, 1}
    told = [str(entry) for entry in end.log.entries(since=mark)]
    assert not told, f"the back end should hear nothing of a refused count: {told}"


@requirement("VU-08", "VU-03")
def test_count_works_without_acknowledgements(testbed: Testbed) -> None:
    """A back end of an older protocol, which cannot acknowledge, is told all the same."""
    (nic,) = testbed.probe_nics([NicPlan()], lambda pairs: testbed.vhost_user(pairs, _older(pairs)))
    nic.start()
    for pairs in (3, 1, 4, 2):
        assert nic.set_pairs(pairs)
        check(nic, pairs)


def _older(pairs: int) -> Offer:
    return Offer(pairs, resume_at_used=True).minus(ProtocolFeature.REPLY_ACK)


@pytest.mark.backends("vhost-user-server")
@requirement("VU-08")
def test_contract_holds_where_the_vmm_listens(nic: Nic) -> None:
    """One pair at first, then every count, and one pair after a reset, with the VMM as the server of the socket."""
    assert nic.host().pairs == {0}
    for pairs in (3, 1, 4, 2):
        assert nic.set_pairs(pairs)
        check(nic, pairs)
    nic.reset()
    assert nic.host().pairs == {0}
