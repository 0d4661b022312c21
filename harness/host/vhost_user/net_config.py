"""The network device's configuration space, for VMMs that leave it to the back end (GET_CONFIG)."""

from __future__ import annotations

import struct

from harness.mac import mac_bytes

SIZE = 256
"""Bytes that a message can reach (vhost-user protocol, "Virtio device config space")."""

NO_MAC = "00:00:00:00:00:00"
_FIELDS = struct.Struct("<6sHH")
_LINK_UP = 1


class NetConfig:
    """struct virtio_net_config (virtio 1.2, 5.1.4): mac, status, max_virtqueue_pairs; what follows reads 0."""

    def __init__(self, pairs: int, mac: str = NO_MAC) -> None:
        self.mac = mac
        self.pairs = pairs

    def read(self, offset: int, length: int) -> bytes | None:
        """Bytes of it; None for what does not lie within."""
        if offset + length > SIZE:
            return None
        fields = _FIELDS.pack(mac_bytes(self.mac), _LINK_UP, self.pairs)
        return fields.ljust(SIZE, b"\0")[offset : offset + length]
