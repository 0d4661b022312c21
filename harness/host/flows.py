"""Flows of frames that can be told apart: UDP over IPv4, each frame with an id of its own.

Built with scapy once on a host and kept in the cache, then only stamped: scapy takes half a second to import, and a
millisecond to build a frame; stamping takes a fraction of one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from harness.cache import cached

MAGIC = b"mqconf01"
UNCOUNTED = (1 << 64) - 1
"""The identity of frames that nobody accounts for."""
FRAME_HEADERS = 14 + 20 + 8
"""Ethernet, IPv4 and UDP."""
STAMP_OFFSET = FRAME_HEADERS
STAMP_LENGTH = len(MAGIC) + 8
_STAMP = struct.Struct("<8sQ")

HOST_MAC = "02:00:00:00:00:01"
NO_MAC = "00:00:00:00:00:00"
HOST_NET, GUEST_ADDRESS = "10.77.0", "10.77.1.1"
FIRST_PORT = 20000


@dataclass(frozen=True)
class Flow:
    """A 5-tuple as a frame without its destination MAC and without its stamp."""

    number: int
    tail: bytes
    """From the source MAC address to the end of the UDP header."""
    reply_head: bytes
    """A whole frame's headers in the other direction, from the guest, with a placeholder for its MAC address."""

    def frame(self, destination: bytes, identity: int, payload: bytes = b"") -> bytes:
        """A frame of this flow towards a MAC address (6 bytes), stamped with `identity`."""
        return destination + self.tail + _STAMP.pack(MAGIC, identity) + payload

    def reply(self, source: bytes, identity: int) -> bytes:
        """A frame of the same flow in the other direction, from the guest's MAC address (6 bytes)."""
        return self.reply_head[:6] + source + self.reply_head[12:] + _STAMP.pack(MAGIC, identity)


@lru_cache(maxsize=16)
def flows(count: int, first: int = 0) -> tuple[Flow, ...]:
    """`count` flows with distinct 5-tuples, numbered from `first` on: source address and both ports vary.

    With 64 flows the chance that one of four queues gets none of them is 4 in 100 million.
    """
    recipe = f"{first} {count} ".encode() + Path(__file__).read_bytes()

    def build(target: Path) -> None:
        target.write_bytes(_headers(count, first))

    content = cached("flows", recipe, build, in_no_time=True).read_bytes()
    heads = [content[at : at + FRAME_HEADERS] for at in range(0, len(content), FRAME_HEADERS)]
    pairs = zip(heads[::2], heads[1::2], strict=True)
    return tuple(Flow(number, there[6:], back) for number, (there, back) in enumerate(pairs, first))


def _headers(count: int, first: int) -> bytes:
    """Of each flow the headers of a frame to the guest, and of one from it, with placeholders for its MAC address."""
    from scapy.layers.inet import IP, UDP  # slow to import
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw

    made = []
    for number in range(first, first + count):
        host, ports = f"{HOST_NET}.{number % 250 + 2}", (FIRST_PORT + number, FIRST_PORT + 7 * number % 10007)
        made += [
            Ether(dst=macs[0], src=macs[1])
            / IP(src=addresses[0], dst=addresses[1])
            / UDP(sport=way[0], dport=way[1], chksum=0)
            / Raw(bytes(STAMP_LENGTH))
            for macs, addresses, way in (
                ((NO_MAC, HOST_MAC), (host, GUEST_ADDRESS), ports),
                ((HOST_MAC, NO_MAC), (GUEST_ADDRESS, host), ports[::-1]),
            )
        ]
    return b"".join(bytes(frame)[:FRAME_HEADERS] for frame in made)


def read_stamp(payload: bytes) -> int | None:
    """The identity in the bytes at STAMP_OFFSET of a frame; None if the frame is not one of ours."""
    if len(payload) < STAMP_LENGTH or not payload.startswith(MAGIC):
        return None
    identity: int = _STAMP.unpack_from(payload)[1]
    return identity


def addresses(frame: bytes) -> bytes:
    """The addresses and ports of a whole frame of a flow."""
    return frame[26:38]


def identified(frames: Iterable[bytes], sent: Mapping[bytes, int]) -> list[int]:
    """The identities of those of these whole frames that are ours, in order.

    A frame without a stamp has the identity that `sent` has for its addresses: not every sender can stamp.
    """
    stamps = (
        (read_stamp(frame[STAMP_OFFSET : STAMP_OFFSET + STAMP_LENGTH]), addresses(frame)) for frame in frames
    )
    found = (sent.get(where) if stamp is None else stamp for stamp, where in stamps)
    return [identity for identity in found if identity is not None]
