"""A small vhost-user front end, with a driver in memory: what stands in for a VMM and its guest in these tests."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from pathlib import Path

from harness.deadline import PACE
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.payloads import (
    U64,
    Empty,
    MemoryTable,
    Payload,
    VringFile,
    VringState,
)
from harness.host.vhost_user.wire import HEADER, Message, request

from .driver import SIZE, DriverRing, Memory

WITHIN = 2.0 * PACE
"""Seconds that any answer may take."""


class FrontEnd:
    """One connection to a back end, `pairs` pairs of rings, and guest memory."""

    def __init__(self, sock: socket.socket, pairs: int = 4) -> None:
        self.socket = sock
        self.socket.settimeout(WITHIN)
        self.need_reply = False
        self.features = 0
        self.protocol = 0
        self.memory = Memory(0x40_0000)
        self.rings = [DriverRing(self.memory, index) for index in range(2 * pairs)]

    @classmethod
    def connect(cls, path: Path, pairs: int = 4) -> FrontEnd:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(WITHIN)
        sock.connect(str(path))
        return cls(sock, pairs)

    @classmethod
    def accept(cls, listener: socket.socket, pairs: int = 4) -> FrontEnd:
        listener.settimeout(WITHIN)
        return cls(listener.accept()[0], pairs)

    def send(self, kind: int, payload: Payload | None = None, fds: list[int] | None = None) -> None:
        self.send_raw(request(kind, (payload or Empty()).encode(), fds, need_reply=self.need_reply))

    def send_raw(self, message: Message) -> None:
        data = HEADER.pack(message.kind, message.flags, len(message.body)) + message.body
        socket.send_fds(self.socket, [data], message.fds)

    def receive(self) -> Message:
        """The next reply; raises TimeoutError, or ConnectionError when the back end has closed."""
        kind, flags, size = HEADER.unpack(self._exactly(HEADER.size))
        return Message(kind, flags, self._exactly(size))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionResetError("the back end closed the connection")
            data += part
        return data

    def ask(self, kind: int, payload: Payload | None = None) -> int:
        """Send a request that has a reply of its own, a u64."""
        self.send(kind, payload)
        return U64.decode(self.receive().body).number

    def tell(self, kind: int, payload: Payload | None = None, fds: list[int] | None = None) -> int | None:
        """Send a request without one; the acknowledgement, if REPLY_ACK was negotiated."""
        self.send(kind, payload, fds)
        return U64.decode(self.receive().body).number if self.need_reply else None

    def negotiate(self, features: int | None = None, protocol: int | None = None) -> None:
        """Take everything that is offered, or these masks."""
        self.tell(Kind.SET_OWNER)
        offered = self.ask(Kind.GET_FEATURES)
        self.features = offered if features is None else features
        if offered >> 30 & 1:
            offered = self.ask(Kind.GET_PROTOCOL_FEATURES)
            self.protocol = offered if protocol is None else protocol
            self.tell(Kind.SET_PROTOCOL_FEATURES, U64(self.protocol))
            self.need_reply = bool(self.protocol >> 3 & 1)
        self.tell(Kind.SET_FEATURES, U64(self.features))

    def share_memory(self) -> int | None:
        return self.tell(Kind.SET_MEM_TABLE, MemoryTable((self.memory.description,)), [self.memory.fd])

    def start_ring(self, index: int, base: int = 0) -> int | None:
        """Describe and start a ring; the acknowledgement of the start."""
        ring = self.rings[index]
        self.tell(Kind.SET_VRING_NUM, VringState(index, SIZE))
        self.tell(Kind.SET_VRING_BASE, VringState(index, base))
        self.tell(Kind.SET_VRING_ADDR, ring.address)
        self.tell(Kind.SET_VRING_CALL, VringFile(index), [ring.call_fd])
        return self.tell(Kind.SET_VRING_KICK, VringFile(index), [ring.kick_fd])

    def set_up(self) -> None:
        """Everything up to started rings, none of which is enabled."""
        self.negotiate()
        self.share_memory()
        for ring in self.rings:
            self.start_ring(ring.index)

    def enable(self, index: int, on: bool = True) -> int | None:
        return self.tell(Kind.SET_VRING_ENABLE, VringState(index, int(on)))

    def set_pairs(self, count: int) -> None:
        """Enable exactly the first pairs, as a VMM does on VQ_PAIRS_SET."""
        for ring in self.rings:
            self.enable(ring.index, ring.index < 2 * count)

    def stop_ring(self, index: int) -> int:
        """GET_VRING_BASE; the base."""
        self.send(Kind.GET_VRING_BASE, VringState(index, 0))
        return VringState.decode(self.receive().body).num

    def is_connected(self) -> bool:
        """Whether the other side has not closed. It must not have sent anything either."""
        readable, _, _ = select.select([self.socket], [], [], 0)
        return not readable

    def close(self) -> None:
        """End the connection and free everything. May be called twice."""
        self.socket.close()
        for ring in self.rings:
            ring.close()
        self.rings = []
        self.memory.close()


def open_descriptors() -> dict[str, str]:
    """What this process holds open, for comparison."""
    found = {}
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found[each.name] = str(each.readlink())
    return found
