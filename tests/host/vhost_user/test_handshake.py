from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.errors import BadInput
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.features import ProtocolFeature, VirtioFeature, has
from harness.host.vhost_user.log import Event
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.offer import DEFAULT_FEATURES, DEFAULT_PROTOCOL, Offer
from harness.host.vhost_user.payloads import U64

from .frontend import FrontEnd

Connect = Callable[[], FrontEnd]
Offering = Callable[[Offer], Backend]


def test_features_are_offered_and_their_acknowledgement_is_kept(backend: Backend, front: FrontEnd) -> None:
    assert front.ask(Kind.GET_FEATURES) == DEFAULT_FEATURES
    assert front.ask(Kind.GET_PROTOCOL_FEATURES) == DEFAULT_PROTOCOL
    front.negotiate(features=1 << 30 | 1 << 32, protocol=1 << 3)
    assert front.ask(Kind.GET_FEATURES) == DEFAULT_FEATURES
    assert (backend.acked_features, backend.acked_protocol_features) == (1 << 30 | 1 << 32, 1 << 3)


def test_the_default_offer_is_what_a_multiqueue_vmm_needs() -> None:
    offered = {bit for bit in VirtioFeature if has(DEFAULT_FEATURES, bit)}
    names = {bit.name for bit in offered}
    assert {"NET_MQ", "NET_CTRL_VQ", "VERSION_1", "NET_MRG_RXBUF", "PROTOCOL_FEATURES"} <= names
    assert VirtioFeature.RING_EVENT_IDX not in offered


@pytest.mark.parametrize(("counts_pairs", "expected"), [(False, 6), (True, 3)])
def test_queue_num_counts_rings_or_pairs(
    offering: Offering, connect: Connect, counts_pairs: bool, expected: int
) -> None:
    offering(Offer(pairs=3, queue_num_counts_pairs=counts_pairs))
    front = connect()
    front.negotiate()
    assert front.ask(Kind.GET_QUEUE_NUM) == expected


def test_features_can_be_left_out(offering: Offering, connect: Connect) -> None:
    offering(Offer().minus(VirtioFeature.NET_MQ, ProtocolFeature.REPLY_ACK))
    front = connect()
    assert front.ask(Kind.GET_FEATURES) == DEFAULT_FEATURES & ~(1 << 22)
    assert front.ask(Kind.GET_PROTOCOL_FEATURES) == DEFAULT_PROTOCOL & ~(1 << 3)


def test_features_can_be_added(offering: Offering, connect: Connect) -> None:
    offering(Offer().plus(VirtioFeature.NET_RSS, ProtocolFeature.STATUS))
    front = connect()
    front.negotiate(features=DEFAULT_FEATURES)
    front.tell(Kind.SET_STATUS, U64(0xF))
    assert front.ask(Kind.GET_FEATURES) == DEFAULT_FEATURES | 1 << 60
    assert front.ask(Kind.GET_STATUS) == 0xF


def test_a_protocol_feature_that_is_not_served_cannot_be_offered() -> None:
    with pytest.raises(BadInput, match="INBAND_NOTIFICATIONS"):
        Offer().plus(ProtocolFeature.INBAND_NOTIFICATIONS)


@pytest.mark.parametrize("pairs", [0, 129])
def test_an_impossible_number_of_pairs_is_refused(pairs: int) -> None:
    with pytest.raises(BadInput, match=f"1 to 128 pairs, not {pairs}"):
        Offer(pairs=pairs)


def test_acknowledging_a_feature_that_was_not_offered_is_a_finding(backend: Backend, front: FrontEnd) -> None:
    front.negotiate(features=DEFAULT_FEATURES | 1 << 29)
    front.ask(Kind.GET_FEATURES)
    assert [each.text for each in backend.take_findings()] == [
        "the VMM acknowledged features never offered: RING_EVENT_IDX"
    ]


def test_acknowledging_a_feature_that_is_only_pretended_is_a_finding(
    offering: Offering, connect: Connect
) -> None:
    backend = offering(Offer().plus(VirtioFeature.NET_RSS))
    front = connect()
    front.negotiate()
    front.ask(Kind.GET_FEATURES)
    assert "NET_RSS" in backend.take_findings()[0].text


def test_replies_are_given_only_where_they_were_negotiated_and_asked_for(
    backend: Backend, front: FrontEnd
) -> None:
    front.negotiate()
    assert front.tell(Kind.SET_OWNER) == 0
    front.need_reply = False
    front.tell(Kind.SET_OWNER)
    front.ask(Kind.GET_FEATURES)
    asked, silent = backend.log.entries(Kind.SET_OWNER)[-2:]
    assert (asked.reply, silent.reply) == (0, None)


def test_the_log_holds_everything_in_order(backend: Backend, front: FrontEnd) -> None:
    front.negotiate()
    front.ask(Kind.GET_FEATURES)
    asked = [Kind.GET_FEATURES, Kind.GET_PROTOCOL_FEATURES]
    said = [Kind.SET_PROTOCOL_FEATURES, Kind.SET_FEATURES]
    expected = [Event.CONNECTED, Kind.SET_OWNER, *asked, *said, Kind.GET_FEATURES]
    assert [each.kind for each in backend.log] == expected
    assert [each.number for each in backend.log] == list(range(7))
