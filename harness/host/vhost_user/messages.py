"""The kinds of vhost-user messages: payload, own reply, and the protocol feature that each belongs to.

Source: vhost-user protocol (QEMU docs/interop/vhost-user.rst), "Front-end message types".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from harness.host.vhost_user.features import ProtocolFeature
from harness.host.vhost_user.payloads import (
    U64,
    ConfigAccess,
    Empty,
    LogArea,
    Malformed,
    MemoryTable,
    Opaque,
    Payload,
    SingleRegion,
    StateTransfer,
    VringAddress,
    VringFile,
    VringState,
)


class Kind(IntEnum):
    """Request ids, front end to back end."""

    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    RESET_OWNER = 4
    SET_MEM_TABLE = 5
    SET_LOG_BASE = 6
    SET_LOG_FD = 7
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13
    SET_VRING_ERR = 14
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    GET_QUEUE_NUM = 17
    SET_VRING_ENABLE = 18
    SEND_RARP = 19
    NET_SET_MTU = 20
    SET_BACKEND_REQ_FD = 21
    IOTLB_MSG = 22
    SET_VRING_ENDIAN = 23
    GET_CONFIG = 24
    SET_CONFIG = 25
    CREATE_CRYPTO_SESSION = 26
    CLOSE_CRYPTO_SESSION = 27
    POSTCOPY_ADVISE = 28
    POSTCOPY_LISTEN = 29
    POSTCOPY_END = 30
    GET_INFLIGHT_FD = 31
    SET_INFLIGHT_FD = 32
    GPU_SET_SOCKET = 33
    RESET_DEVICE = 34
    VRING_KICK = 35
    GET_MAX_MEM_SLOTS = 36
    ADD_MEM_REG = 37
    REM_MEM_REG = 38
    SET_STATUS = 39
    GET_STATUS = 40
    GET_SHARED_OBJECT = 41
    SET_DEVICE_STATE_FD = 42
    CHECK_DEVICE_STATE = 43


@dataclass(frozen=True)
class Layout:
    """What a kind looks like. `replies`: it has a reply of its own, REPLY_ACK or not."""

    payload: type[Payload]
    replies: bool = False
    needs: ProtocolFeature | None = None


_P = ProtocolFeature

LAYOUTS: Mapping[Kind, Layout] = MappingProxyType(
    {
        Kind.GET_FEATURES: Layout(Empty, replies=True),
        Kind.SET_FEATURES: Layout(U64),
        Kind.SET_OWNER: Layout(Empty),
        Kind.RESET_OWNER: Layout(Empty),
        Kind.SET_MEM_TABLE: Layout(MemoryTable),
        Kind.SET_LOG_BASE: Layout(LogArea, replies=True, needs=_P.LOG_SHMFD),
        Kind.SET_LOG_FD: Layout(Empty),
        Kind.SET_VRING_NUM: Layout(VringState),
        Kind.SET_VRING_ADDR: Layout(VringAddress),
        Kind.SET_VRING_BASE: Layout(VringState),
        Kind.GET_VRING_BASE: Layout(VringState, replies=True),
        Kind.SET_VRING_KICK: Layout(VringFile),
        Kind.SET_VRING_CALL: Layout(VringFile),
        Kind.SET_VRING_ERR: Layout(VringFile),
        Kind.GET_PROTOCOL_FEATURES: Layout(Empty, replies=True),
        Kind.SET_PROTOCOL_FEATURES: Layout(U64),
        Kind.GET_QUEUE_NUM: Layout(Empty, replies=True, needs=_P.MQ),
        Kind.SET_VRING_ENABLE: Layout(VringState),
        Kind.SEND_RARP: Layout(U64, needs=_P.RARP),
        Kind.NET_SET_MTU: Layout(U64, needs=_P.NET_MTU),
        Kind.SET_BACKEND_REQ_FD: Layout(Empty, needs=_P.BACKEND_REQ),
        Kind.IOTLB_MSG: Layout(Opaque, replies=True),
        Kind.SET_VRING_ENDIAN: Layout(VringState, needs=_P.CROSS_ENDIAN),
        Kind.GET_CONFIG: Layout(ConfigAccess, replies=True, needs=_P.CONFIG),
        Kind.SET_CONFIG: Layout(ConfigAccess, needs=_P.CONFIG),
        Kind.CREATE_CRYPTO_SESSION: Layout(Opaque, replies=True, needs=_P.CRYPTO_SESSION),
        Kind.CLOSE_CRYPTO_SESSION: Layout(Opaque, needs=_P.CRYPTO_SESSION),
        Kind.POSTCOPY_ADVISE: Layout(Empty, replies=True, needs=_P.PAGEFAULT),
        Kind.POSTCOPY_LISTEN: Layout(Empty, needs=_P.PAGEFAULT),
        Kind.POSTCOPY_END: Layout(Empty, replies=True, needs=_P.PAGEFAULT),
        Kind.GET_INFLIGHT_FD: Layout(Opaque, replies=True, needs=_P.INFLIGHT_SHMFD),
        Kind.SET_INFLIGHT_FD: Layout(Opaque, needs=_P.INFLIGHT_SHMFD),
        Kind.GPU_SET_SOCKET: Layout(Empty),
        Kind.RESET_DEVICE: Layout(Empty, needs=_P.RESET_DEVICE),
        Kind.VRING_KICK: Layout(VringState, needs=_P.INBAND_NOTIFICATIONS),
        Kind.GET_MAX_MEM_SLOTS: Layout(Empty, replies=True, needs=_P.CONFIGURE_MEM_SLOTS),
        Kind.ADD_MEM_REG: Layout(SingleRegion, needs=_P.CONFIGURE_MEM_SLOTS),
        Kind.REM_MEM_REG: Layout(SingleRegion, needs=_P.CONFIGURE_MEM_SLOTS),
        Kind.SET_STATUS: Layout(U64, needs=_P.STATUS),
        Kind.GET_STATUS: Layout(Empty, replies=True, needs=_P.STATUS),
        Kind.GET_SHARED_OBJECT: Layout(Opaque, replies=True, needs=_P.SHARED_OBJECT),
        Kind.SET_DEVICE_STATE_FD: Layout(StateTransfer, replies=True, needs=_P.DEVICE_STATE),
        Kind.CHECK_DEVICE_STATE: Layout(Empty, replies=True, needs=_P.DEVICE_STATE),
    }
)


def kind_of(number: int) -> Kind | int:
    """The kind of that id, or the id itself where the protocol knows none."""
    try:
        return Kind(number)
    except ValueError:
        return number


def kind_name(kind: int) -> str:
    """A kind's name, `#99` for an unknown id."""
    return kind.name if isinstance(kind, IntEnum) else f"#{kind}"


def replies(kind: int) -> bool:
    """Whether the kind has a reply of its own, so that no acknowledgement takes its place."""
    known = kind_of(kind)
    return isinstance(known, Kind) and LAYOUTS[known].replies


def decode(kind: Kind | int, body: bytes) -> Payload:
    """Read a request's body. Raises Malformed for an unknown kind or a body of the wrong length."""
    if not isinstance(kind, Kind):
        raise Malformed(f"a message of the unknown kind {kind}")
    try:
        return LAYOUTS[kind].payload.decode(body)
    except Malformed as error:
        raise Malformed(f"{kind.name} with {error}") from None
