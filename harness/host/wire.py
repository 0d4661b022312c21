"""Both directions of a network interface's wire: frames put on it, and frames that come from it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from functools import partial

from harness.deadline import wait_until
from harness.errors import Owner

ETH_P_ALL = 3
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
SO_RCVBUFFORCE = 33
CAPTURE_BYTES = 32 << 20
"""How much the kernel keeps for us between two looks."""
TAKEN_WITHIN = 5.0
"""Seconds in which an interface whose queue is full must take another frame."""


class Wire:
    """The wire of interface `name`: what is put on it goes out there, what comes in there is taken."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._waiting: list[bytes] = []
        try:
            self._sender.bind((name, 0))
            enlarge(self.receiver, CAPTURE_BYTES)
            self.receiver.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self.receiver.bind((name, ETH_P_ALL))
        except OSError:
            self.close()
            raise

    def put(self, frames: Sequence[bytes]) -> None:
        """Put Ethernet frames on the wire, in order.

        Raises DeadlineExceeded if the interface takes none for a while, which it does unless it is stopped.
        """
        for sent, frame in enumerate(frames):
            if not self._send(frame):
                wait_until(
                    f"the interface {self._name} to take one more of {len(frames)} frames",
                    partial(self._send, frame),
                    owed_by=Owner.HOST,
                    within=TAKEN_WITHIN,
                    last=partial("it took {}".format, sent),
                )

    def _send(self, frame: bytes) -> bool:
        """Whether the interface took the frame: it takes none while its queue is full."""
        try:
            self._sender.send(frame)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            return False
        return True

    def keep(self, frame: bytes) -> None:
        """Have a frame taken next that was read from `receiver` on the way to another."""
        self._waiting.append(frame)

    def take(self) -> list[bytes]:
        """What came since the last call."""
        frames, self._waiting = self._waiting, []
        while True:
            try:
                frames.append(self.receiver.recv(65536))
            except BlockingIOError:
                return frames

    def forget_trouble(self) -> None:
        """Forget that the interface was down: the kernel tells each socket once (ENETDOWN)."""
        for end in (self._sender, self.receiver):
            end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def close(self) -> None:
        """Let go of it."""
        self._sender.close()
        self.receiver.close()


def enlarge(receiver: socket.socket, size: int) -> None:
    """Ask for a receive buffer; in a user namespace the kernel grants no more than net.core.rmem_max."""
    try:
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
    except PermissionError:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
