"""Network interfaces as the kernel tells of them over rtnetlink(7), and the few changes that a tap needs.

A request and its answer take some 30 microseconds. The library pyroute2, which serves wherever that does not matter,
takes a hundred times as much, and an event loop for each connection.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# linux/netlink.h, linux/rtnetlink.h, linux/if_link.h
_HEADER, _LINK, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BxHiII"), struct.Struct("=HH")
NEW_LINK, _DELETE_LINK, _GET_LINK = 16, 17, 18
_REQUEST, _ACK = 1, 4
_ERROR = 2
_IFF_UP = 1
_QDISC, _LINKINFO, _GROUP, _EXT_MASK, _CARRIER = 6, 18, 27, 29, 33
_INFO_DATA, _NUM_QUEUES, _NUM_DISABLED = 2, 8, 9
_SKIP_STATS = 8
_NESTED = 0x3FFF
RTMGRP_LINK = 1
ANSWER_BYTES = 65536

Attributes = Mapping[int, bytes]


@dataclass(frozen=True)
class Link:
    """An interface at one moment."""

    index: int
    attributes: Attributes

    @property
    def queue_counts(self) -> tuple[int, int]:
        """A tap's attached and detached queues; one that is not multi-queue counts as one attached queue."""
        data = _attributes(_attributes(self.attributes.get(_LINKINFO, b"")).get(_INFO_DATA, b""))
        if _NUM_QUEUES not in data:
            return 1, 0
        return _number(data[_NUM_QUEUES]), _number(data.get(_NUM_DISABLED, bytes(4)))

    @property
    def carrier(self) -> bool:
        """Whether the cable is plugged in: for a tap, whether anybody holds a queue."""
        return bool(_number(self.attributes.get(_CARRIER, b"\0")))

    @property
    def qdisc(self) -> str:
        """The name of its queueing discipline."""
        return self.attributes.get(_QDISC, b"").rstrip(b"\0").decode()


class Links:
    """A connection to the kernel, in the network namespace in which it was made."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Let go of it."""
        self._socket.close()

    def get(self, index: int) -> Link:
        """The interface of this index. Raises OSError (ENODEV) if there is none."""
        wanted = _attribute(_EXT_MASK, struct.pack("=I", _SKIP_STATS))
        (data,) = self._ask(_GET_LINK, _REQUEST, _link(index) + wanted)
        return data

    def set_up(self, index: int, up: bool) -> None:
        """Put an interface up or down."""
        self._change(NEW_LINK, _link(index, _IFF_UP if up else 0, _IFF_UP))

    def set_carrier(self, index: int, on: bool) -> None:
        """Plug an interface's cable in, or pull it."""
        self._change(NEW_LINK, _link(index) + _attribute(_CARRIER, bytes([on])))

    def set_group(self, index: int, group: int) -> None:
        """Put an interface into a group."""
        self._change(NEW_LINK, _link(index) + _attribute(_GROUP, struct.pack("=I", group)))

    def delete(self, index: int) -> None:
        """Remove an interface. Raises OSError (ENODEV) if there is none."""
        self._change(_DELETE_LINK, _link(index))

    def delete_group(self, group: int) -> None:
        """Remove all interfaces of a group: the kernel waits once for all of them. Raises OSError if there is none."""
        self._change(_DELETE_LINK, _link(0) + _attribute(_GROUP, struct.pack("=I", group)))

    def _change(self, kind: int, body: bytes) -> None:
        list(self._ask(kind, _REQUEST | _ACK, body))

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[Link]:
        """Send a request; the interfaces that its answer is about. Raises OSError."""
        self._sequence += 1
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, kind, flags, self._sequence, 0) + body)
        for kind_of_answer, sequence, content in _messages(self._socket.recv(ANSWER_BYTES)):
            if sequence != self._sequence:
                continue
            if kind_of_answer == _ERROR:
                if code := -struct.unpack_from("=i", content)[0]:
                    raise OSError(code, os.strerror(code))
            elif kind_of_answer == NEW_LINK:
                yield _read(content)


def events(data: bytes) -> Iterator[Link]:
    """The interfaces that RTM_NEWLINK messages of a socket are about, which subscribed to RTMGRP_LINK."""
    return (_read(content) for kind, _, content in _messages(data) if kind == NEW_LINK)


def index_of(name: str) -> int | None:
    """The index of the interface of this name in this thread's network namespace; None if there is none."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, sequence number and content of each."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield kind, sequence, data[at + _HEADER.size : at + length]
        at += -(-length // 4) * 4


def _read(content: bytes) -> Link:
    return Link(_LINK.unpack_from(content)[2], _attributes(content[_LINK.size :]))


def _link(index: int, flags: int = 0, change: int = 0) -> bytes:
    return _LINK.pack(socket.AF_UNSPEC, 0, index, flags, change)


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(data: bytes) -> Attributes:
    found, at = {}, 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _NESTED] = data[at + _ATTRIBUTE.size : at + length]
        at += -(-length // 4) * 4
    return found


def _number(value: bytes) -> int:
    return int.from_bytes(value, "little")
