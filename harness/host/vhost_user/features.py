"""Feature bits: what a vhost-user-net back end offers to the driver (virtio) and to the VMM (protocol)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class VirtioFeature(IntEnum):
    """Bit numbers of GET_FEATURES (virtio 1.2, 5.1.3 and 6; 26 and 30 belong to vhost)."""

    NET_CSUM = 0
    NET_GUEST_CSUM = 1
    NET_MTU = 3
    NET_MAC = 5
    NET_MRG_RXBUF = 15
    NET_STATUS = 16
    NET_CTRL_VQ = 17
    NET_GUEST_ANNOUNCE = 21
    NET_MQ = 22
    VHOST_LOG_ALL = 26
    RING_INDIRECT_DESC = 28
    RING_EVENT_IDX = 29
    PROTOCOL_FEATURES = 30
    VERSION_1 = 32
    ACCESS_PLATFORM = 33
    RING_PACKED = 34
    NET_HASH_REPORT = 57
    NET_RSS = 60


class ProtocolFeature(IntEnum):
    """Bit numbers of GET_PROTOCOL_FEATURES (vhost-user protocol, "Protocol features")."""

    MQ = 0
    LOG_SHMFD = 1
    RARP = 2
    REPLY_ACK = 3
    NET_MTU = 4
    BACKEND_REQ = 5
    CROSS_ENDIAN = 6
    CRYPTO_SESSION = 7
    PAGEFAULT = 8
    CONFIG = 9
    BACKEND_SEND_FD = 10
    HOST_NOTIFIER = 11
    INFLIGHT_SHMFD = 12
    RESET_DEVICE = 13
    INBAND_NOTIFICATIONS = 14
    CONFIGURE_MEM_SLOTS = 15
    STATUS = 16
    XEN_MMAP = 17
    SHARED_OBJECT = 18
    DEVICE_STATE = 19


def mask(bits: Iterable[int]) -> int:
    """The 64-bit mask that has these bit numbers set."""
    value = 0
    for bit in bits:
        value |= 1 << bit
    return value


def has(features: int, bit: int) -> bool:
    """Whether the mask has that bit number set."""
    return bool(features >> bit & 1)


def names(features: int, kind: type[IntEnum]) -> str:
    """The bits that are set, by name where `kind` knows one, else by number; for messages to people."""
    known = {int(member): member.name for member in kind}
    return " ".join(known.get(bit, f"bit {bit}") for bit in range(64) if has(features, bit)) or "none"
