"""Flows: frames that can be told apart, by their addresses and by the stamp in each."""

from __future__ import annotations

import struct

import pytest

from harness.host.flows import (
    FRAME_HEADERS,
    HOST_MAC,
    STAMP_LENGTH,
    STAMP_OFFSET,
    addresses,
    flows,
    identified,
    read_stamp,
)
from harness.mac import mac_bytes

GUEST = bytes.fromhex("020000000100")


def checksum(words: bytes) -> int:
    """The Internet checksum (RFC 1071): 0xffff over a header that holds its own."""
    total: int = sum(struct.unpack(f">{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_flows_have_distinct_addresses_and_ports() -> None:
    tuples = {addresses(flow.frame(GUEST, 0)) for flow in flows(300)}
    assert len(tuples) == 300


def test_flows_are_the_same_every_time_and_numbered_on() -> None:
    assert flows(8) is flows(8)
    assert flows(4, first=4) == flows(8)[4:]


@pytest.mark.parametrize("identity", [0, 1, 2**64 - 1])
def test_frame_carries_its_stamp(identity: int) -> None:
    frame = flows(3)[2].frame(GUEST, identity, b"more")
    assert read_stamp(frame[STAMP_OFFSET : STAMP_OFFSET + STAMP_LENGTH]) == identity
    assert frame.endswith(b"more")
    assert frame[:12] == GUEST + mac_bytes(HOST_MAC)


@pytest.mark.parametrize("back", [False, True], ids=["to-the-guest", "from-the-guest"])
def test_headers_are_sound(back: bool) -> None:
    flow = flows(5)[4]
    frame = flow.reply(GUEST, 7) if back else flow.frame(GUEST, 7)
    assert len(frame) == FRAME_HEADERS + STAMP_LENGTH
    assert checksum(frame[14:34]) == 0xFFFF
    assert struct.unpack(">HH", frame[16:18] + frame[38:40]) == (20 + 8 + STAMP_LENGTH, 8 + STAMP_LENGTH)
    assert frame[6:12] == (GUEST if back else mac_bytes(HOST_MAC))


def test_reply_swaps_addresses_and_ports() -> None:
    flow = flows(6)[5]
    there, back = flow.frame(GUEST, 0), flow.reply(GUEST, 0)
    assert there[26:30] + there[30:34] == back[30:34] + back[26:30]
    assert there[34:36] + there[36:38] == back[36:38] + back[34:36]


@pytest.mark.parametrize(
    "payload", [b"", b"mqconf01", b"mqconf0", b"x" * STAMP_LENGTH, b"MQCONF01" + bytes(8)]
)
def test_what_is_not_ours_has_no_identity(payload: bytes) -> None:
    assert read_stamp(payload) is None


def test_frames_are_identified_by_stamp_or_by_what_was_sent() -> None:
    first, second = (flow.frame(GUEST, number) for number, flow in enumerate(flows(2)))
    unstamped = second[:STAMP_OFFSET] + bytes(STAMP_LENGTH)
    foreign = bytes(60)
    assert identified([unstamped, foreign, first], {addresses(second): 41}) == [41, 0]
    assert identified([unstamped, foreign], {}) == []
