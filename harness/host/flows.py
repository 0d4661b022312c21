"""Flows of frames that can be told apart: UDP over IPv4, each frame with an id of its own.

Built once, then only stamped: building takes longer.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from harness.mac import mac_bytes

MAGIC = b"mqconf01"
UNCOUNTED = (1 << 64) - 1
"""The identity of frames that nobody accounts for."""
FRAME_HEADERS = 14 + 20 + 8
"""Ethernet, IPv4 and UDP."""
STAMP_OFFSET = FRAME_HEADERS
STAMP_LENGTH = len(MAGIC) + 8
_STAMP = struct.Struct("<8sQ")
_IPV4, _UDP = struct.Struct("!BBHHHBBH4s4s"), struct.Struct("!HHHH")
_TYPE_IPV4 = b"\x08\x00"

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
    made = []
    for number in range(first, first + count):
        host, ports = f"{HOST_NET}.{number % 250 + 2}", (FIRST_PORT + number, FIRST_PORT + 7 * number % 10007)
        there = _headers(NO_MAC, HOST_MAC, (host, GUEST_ADDRESS), ports)
        back = _headers(HOST_MAC, NO_MAC, (GUEST_ADDRESS, host), ports[::-1])
        made.append(Flow(number, there[6:], back))
    return tuple(made)


def _headers(to: str, by: str, ways: tuple[str, str], ports: tuple[int, int]) -> bytes:
    """Ethernet, IPv4 (RFC 791) and UDP (RFC 768, without a checksum) in front of a stamp."""
    length = _UDP.size + STAMP_LENGTH
    source, destination = (socket.inet_aton(way) for way in ways)
    fields = (0x45, 0, _IPV4.size + length, 1, 0, 64, socket.IPPROTO_UDP)
    whole = sum(struct.unpack(f"!{_IPV4.size // 2}H", _IPV4.pack(*fields, 0, source, destination)))
    while whole >> 16:
        whole = (whole & 0xFFFF) + (whole >> 16)
    return (
        mac_bytes(to)
        + mac_bytes(by)
        + _TYPE_IPV4
        + _IPV4.pack(*fields, ~whole & 0xFFFF, source, destination)
        + _UDP.pack(*ports, length, 0)
    )


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
