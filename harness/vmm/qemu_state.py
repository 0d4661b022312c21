"""The state that QEMU saves: a migration stream, in which each device's state is a section of bytes.

A section is 04, its number (4 bytes), the device's name and instance and version, the state, and 7e with the number
again (QEMU 7.2, migration/savevm.c). At the end stands a JSON text that names the devices in their order. What a
section means is the device's own business: a virtio-net device's is one blob, seen here as 16-bit numbers.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.bounded import MIB, Unreadable, parse_json, read_file
from harness.errors import VmmError
from harness.mac import mac_bytes
from harness.vmm.state_damage import cut

STATE_FILE = "state"
"""Of a snapshot folder: the migration stream."""
LIMIT = 4096 * MIB
"""Of a stream, which holds the guest's memory."""
STATE_DAMAGES = {
    "stream-truncated": cut(STATE_FILE, 0.5),
    "stream-truncated-at-its-end": cut(STATE_FILE, 0.99),
}
"""Ways to spoil it, by name."""
_DESCRIPTION = b"\x00\x06"
"""End of the sections, and the mark of the JSON text, whose length follows in 4 bytes."""


class Section(NamedTuple):
    """A device's section: name and instance, where its state begins in the stream, and the state."""

    device: str
    instance: int
    start: int
    data: bytes


def sections(stream: bytes) -> Iterator[Section]:
    """The devices' sections, in order. Raises VmmError if this is no stream of that form."""
    end = stream.rfind(_DESCRIPTION)
    try:
        described = [
            (str(device["name"]), int(device["instance_id"]), _identity(device))
            for device in parse_json(stream[end + 6 :])["devices"]
        ]
    except (Unreadable, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise VmmError(
            f"no description of the devices at the end of the migration stream: {error!r:.200}"
        ) from None
    at = 0
    for name, instance, identity in described:
        header = re.compile(b"\x04(.{4})" + re.escape(identity) + b".{4}", re.DOTALL)
        found = header.search(stream, at, end)
        if found is None:
            continue  # it is no section of this kind, as memory is none
        at = stream.find(b"\x7e" + found[1], found.end(), end + 1)
        if at < 0:
            raise VmmError(f"the section of {name} has no end")
        yield Section(name, instance, found.end(), stream[found.end() : at])


def _identity(device: Mapping[str, Any]) -> bytes:
    """How a device's section names it: the length of its name, its name, its instance."""
    name: bytes = device["name"].encode()
    return bytes([len(name)]) + name + struct.pack(">I", device["instance_id"])


def read_stream(snapshot: Path) -> bytes:
    """The migration stream of a snapshot folder. Raises VmmError."""
    try:
        return read_file(snapshot / STATE_FILE, LIMIT)
    except Unreadable as error:
        raise VmmError(f"the migration stream that the VMM saved {error}") from None


class NicState:
    """The state of one NIC in a snapshot folder, told by its MAC address, with which the state begins."""

    def __init__(self, snapshot: Path, mac: str) -> None:
        self._path = snapshot / STATE_FILE
        self._mac = mac_bytes(mac)

    def read(self) -> dict[str, Any]:
        """Its 16-bit numbers (big-endian), at every offset."""
        data = self._section().data
        return {str(i): struct.unpack_from(">H", data, i)[0] for i in range(len(data) - 1)}

    def change(self, changes: Mapping[str, Any]) -> None:
        """Overwrite numbers. Raises VmmError for what is none: a field can neither be removed nor be a text."""
        start = self._section().start
        with self._path.open("r+b") as stream:
            for offset, value in changes.items():
                if not isinstance(value, int) or not 0 <= value < 1 << 16:
                    raise VmmError(f"a migration stream cannot hold {value!r} as a 16-bit number")
                stream.seek(start + int(offset))
                stream.write(struct.pack(">H", value))

    def _section(self) -> Section:
        for section in sections(read_stream(self._path.parent)):
            if section.device.endswith("/virtio-net") and self._mac in section.data:
                return section
        raise VmmError(f"{self._path} has no state of a NIC with MAC {self._mac.hex(':')}")
