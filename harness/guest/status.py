"""The device status field, which a driver writes as it goes on."""

from __future__ import annotations

from enum import IntFlag


class Status(IntFlag):
    """Bits of device_status (virtio 1.2, 2.1)."""

    ACKNOWLEDGE = 1
    DRIVER = 2
    DRIVER_OK = 4
    FEATURES_OK = 8
    NEEDS_RESET = 64
    FAILED = 128
