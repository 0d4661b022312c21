"""MAC addresses as text and as bytes."""


def mac_bytes(mac: str) -> bytes:
    """The six bytes of a MAC address that is written as `02:00:00:00:01:00`."""
    return bytes.fromhex(mac.replace(":", ""))
