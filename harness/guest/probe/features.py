"""Feature bits of virtio and of its network device (virtio 1.2, 5.1.3 and 6)."""

from __future__ import annotations

from enum import IntFlag


class Feature(IntFlag):
    """Features as a mask: combine with |, test with `in`. It shows itself by names in failed assertions."""

    def __repr__(self) -> str:
        return self.name or hex(self)

    CSUM = 1 << 0
    GUEST_CSUM = 1 << 1
    CTRL_GUEST_OFFLOADS = 1 << 2
    MTU = 1 << 3
    MAC = 1 << 5
    GUEST_TSO4 = 1 << 7
    GUEST_TSO6 = 1 << 8
    GUEST_ECN = 1 << 9
    GUEST_UFO = 1 << 10
    HOST_TSO4 = 1 << 11
    HOST_TSO6 = 1 << 12
    HOST_ECN = 1 << 13
    HOST_UFO = 1 << 14
    MRG_RXBUF = 1 << 15
    STATUS = 1 << 16
    CTRL_VQ = 1 << 17
    CTRL_RX = 1 << 18
    CTRL_VLAN = 1 << 19
    GUEST_ANNOUNCE = 1 << 21
    MQ = 1 << 22
    CTRL_MAC_ADDR = 1 << 23
    INDIRECT_DESC = 1 << 28
    EVENT_IDX = 1 << 29
    PROTOCOL_FEATURES = 1 << 30
    """vhost-user's own bit: it never reaches a guest."""
    VERSION_1 = 1 << 32
    ACCESS_PLATFORM = 1 << 33
    RING_PACKED = 1 << 34
    RING_RESET = 1 << 40
    HASH_REPORT = 1 << 57
    RSS = 1 << 60


PLAIN = Feature.VERSION_1 | Feature.MAC
"""A driver that knows neither multiqueue nor the control queue, as firmware does."""
CONTROL = PLAIN | Feature.CTRL_VQ
"""A driver with a control queue that does not ask for multiqueue."""
MULTIQUEUE = CONTROL | Feature.MQ
"""A driver that can use several pairs."""
