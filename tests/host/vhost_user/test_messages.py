from __future__ import annotations

import pytest

from harness.host.vhost_user.messages import LAYOUTS, Kind, decode
from harness.host.vhost_user.payloads import (
    U64,
    ConfigAccess,
    LogArea,
    Malformed,
    MemoryTable,
    Payload,
    RegionDescription,
    SingleRegion,
    StateTransfer,
    VringAddress,
    VringFile,
    VringState,
)

REGION = RegionDescription(guest=0x1000, size=0x2000, user=0x3000, offset=0x4000)
REGION_BYTES = "0010000000000000002000000000000000300000000000000040000000000000"

WIRE: list[tuple[Kind, Payload, str]] = [
    (Kind.SET_FEATURES, U64(0x1_0000_0002), "0200000001000000"),
    (Kind.SET_VRING_ENABLE, VringState(3, 1), "0300000001000000"),
    (Kind.SET_VRING_KICK, VringFile(5, absent=True), "0501000000000000"),
    (Kind.SET_VRING_CALL, VringFile(255), "ff00000000000000"),
    (
        Kind.SET_VRING_ADDR,
        VringAddress(index=1, flags=1, descriptor=2, used=3, available=4, log=5),
        "01000000010000000200000000000000030000000000000004000000000000000500000000000000",
    ),
    (Kind.SET_MEM_TABLE, MemoryTable((REGION, REGION)), "0200000000000000" + 2 * REGION_BYTES),
    (Kind.ADD_MEM_REG, SingleRegion(REGION), "0000000000000000" + REGION_BYTES),
    (Kind.GET_CONFIG, ConfigAccess(8, 0, b"\4\0"), "0800000002000000000000000400"),
    (Kind.SET_CONFIG, ConfigAccess(0, 1, b"\2"), "00000000010000000100000002"),
    (Kind.SET_LOG_BASE, LogArea(16, 8), "10000000000000000800000000000000"),
    (Kind.SET_DEVICE_STATE_FD, StateTransfer(1, 0), "0100000000000000"),
]


@pytest.mark.parametrize(("kind", "payload", "wire"), WIRE, ids=lambda value: getattr(value, "name", None))
def test_payloads_have_the_layout_of_the_protocol(kind: Kind, payload: Payload, wire: str) -> None:
    assert payload.encode().hex() == wire
    assert decode(kind, bytes.fromhex(wire)) == payload


@pytest.mark.parametrize(("kind", "payload", "wire"), WIRE, ids=lambda value: getattr(value, "name", None))
@pytest.mark.parametrize("change", [-1, 1])
def test_a_body_of_another_length_is_malformed(kind: Kind, payload: Payload, wire: str, change: int) -> None:
    body = bytes.fromhex(wire)
    with pytest.raises(Malformed, match=kind.name):
        decode(kind, body[:-1] if change < 0 else body + b"\0")


def test_an_empty_message_with_a_body_is_malformed() -> None:
    with pytest.raises(Malformed, match="GET_FEATURES with a body of 1 bytes where 0 belong"):
        decode(Kind.GET_FEATURES, b"\0")


def test_a_memory_table_that_announces_more_regions_than_it_holds_is_malformed() -> None:
    body = MemoryTable((REGION,)).encode()
    with pytest.raises(Malformed, match="a table of 2 memory regions"):
        decode(Kind.SET_MEM_TABLE, b"\2" + body[1:])


def test_an_unknown_kind_is_malformed() -> None:
    with pytest.raises(Malformed, match="unknown kind 99"):
        decode(99, b"")


def test_every_kind_has_a_layout() -> None:
    assert set(LAYOUTS) == set(Kind)
