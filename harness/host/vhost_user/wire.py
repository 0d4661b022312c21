"""Messages on the socket: 12-byte header, body, and descriptors in the ancillary data. Nothing here ever blocks."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
from dataclasses import dataclass, field

from harness.host.vhost_user.payloads import U64, Malformed

HEADER = struct.Struct("=III")
"""u32 request, u32 flags, u32 size of the body (vhost-user protocol, "Header")."""

VERSION = 0x1
VERSION_BITS = 0x3
REPLY = 0x4
NEED_REPLY = 0x8

MAX_BODY = 4096
"""Bytes. The longest body the protocol knows, a memory table of 32 regions, has 1032."""

MAX_DESCRIPTORS = 64


class ConnectionLost(Exception):
    """The peer is gone, or does not read what it is sent. The text says how that showed."""


@dataclass(slots=True)
class Message:
    """One message with the descriptors that came with it. Whoever holds it owns them: see `close`."""

    kind: int
    flags: int
    body: bytes = b""
    fds: list[int] = field(default_factory=list)

    @property
    def need_reply(self) -> bool:
        """Whether the sender asks for an acknowledgement."""
        return bool(self.flags & NEED_REPLY)

    def take_fd(self) -> int:
        """Become the owner of the next descriptor. Raises Malformed where none is left."""
        if not self.fds:
            raise Malformed("too few file descriptors")
        return self.fds.pop(0)

    def close(self) -> None:
        """Close the descriptors that nobody took."""
        while self.fds:
            os.close(self.fds.pop())


def request(
    kind: int, body: bytes = b"", fds: list[int] | None = None, *, need_reply: bool = False
) -> Message:
    """A request as a front end sends it."""
    return Message(kind, VERSION | (NEED_REPLY if need_reply else 0), body, fds or [])


def reply(kind: int, body: bytes) -> Message:
    """A reply as a back end sends it."""
    return Message(kind, VERSION | REPLY, body)


def acknowledgement(kind: int, value: int) -> Message:
    """The reply to a message that has none of its own (REPLY_ACK): 0 is success."""
    return reply(kind, U64(value).encode())


def send(sock: socket.socket, message: Message) -> None:
    """Send a whole message; its descriptors stay the caller's.

    Raises ConnectionLost if the peer is gone, or does not read.
    """
    data = HEADER.pack(message.kind, message.flags, len(message.body)) + message.body
    rights = array.array("i", message.fds)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if message.fds else []
    try:
        sent = sock.sendmsg([data], ancillary, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except BlockingIOError:
        sent = 0
    except OSError as error:
        raise ConnectionLost(error.strerror or str(error)) from None
    if sent != len(data):
        raise ConnectionLost("it does not read what it is sent")


class Receiver:
    """Reassembles the messages that arrive on one stream socket."""

    _ANCILLARY = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data = b""
        self._fds: list[int] = []

    def next(self) -> Message | None:
        """The next complete message, or None until more arrives.

        Raises ConnectionLost at the end of the stream, Malformed for a header that no message can have.
        """
        while missing := self._missing():
            try:
                data, ancillary, flags, _ = self._sock.recvmsg(
                    missing, self._ANCILLARY, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return None
            except OSError as error:
                raise ConnectionLost(error.strerror or str(error)) from None
            for level, kind, rights in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds = array.array("i")
                    fds.frombytes(rights[: len(rights) - len(rights) % fds.itemsize])
                    self._fds.extend(fds)
            if flags & socket.MSG_CTRUNC:
                raise Malformed(f"more than {MAX_DESCRIPTORS} file descriptors with one message")
            if not data:
                raise ConnectionLost("closed in the middle of a message" if self._data else "closed")
            self._data += data
        kind, flags, _ = HEADER.unpack_from(self._data)
        message = Message(kind, flags, self._data[HEADER.size :], self._fds)
        self._data, self._fds = b"", []
        return message

    def close(self) -> None:
        """Close the descriptors of a message that never became whole. The socket is the caller's."""
        for fd in self._fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._fds = []

    def _missing(self) -> int:
        """Bytes until the message is whole."""
        if len(self._data) < HEADER.size:
            return HEADER.size - len(self._data)
        size: int = HEADER.unpack_from(self._data)[2]
        if size > MAX_BODY:
            raise Malformed(f"a header that announces a body of {size} bytes")
        return HEADER.size + size - len(self._data)
