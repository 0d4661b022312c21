"""The kernel's own number of a tap's queue, and a mark that a queue keeps.

The kernel numbers the queues of a tap in the order in which they were attached, first when they are opened
(tun_attach(), Linux drivers/net/tun.c). No call tells the number, but each frame that is written to a queue carries it
(skb_record_rx_queue() in tun_get_user()), and a socket filter can read it there (SKF_AD_QUEUE, linux/filter.h).
A queue that is detached keeps its last number, and one that is attached again gets the next free one. So the number
is worth asking for once, while the queues are as they were opened; it is then written on the queue itself.
"""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import os
import select
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from harness.host import tun
from harness.host.wire import ETH_P_ALL, PACKET_IGNORE_OUTGOING, SOL_PACKET

_ETHERNET = 14
_NOBODY = bytes.fromhex("02000051")
"""How the addresses begin to which the frames go that ask: nobody has them, so that the host drops the frames."""
# UDP between documentation addresses (RFC 5737), a flow of its own: the tap learns which queue it was sent on
_REST = (
    bytes(6)
    + b"\x08\x00"
    + struct.pack("!BBHHHBBH4s4s", 0x45, 0, 348, 0, 0, 1, 17, 0, b"\xc0\0\2\1", b"\xc6\x33\x64\1")
    + struct.pack("!HHHH", 9, 9, 328, 0)
    + bytes(320)
)
"""Longer than the header and any number, for it is cut to the sum of them."""
_PATIENCE = 0.05
"""Seconds in which a frame is back that was given to the kernel."""

# struct sock_filter: code, jump if true, jump if false, k (linux/filter.h)
_LOAD, _LOAD_HALF, _JUMP_IF, _ADD, _RETURN, _RETURN_SUM = 0x20, 0x28, 0x15, 0x04, 0x06, 0x16
_QUEUE = 0xFFFFF000 + 24
_SO_ATTACH_FILTER = 26
_askers = itertools.count()
_MARKS = 64
"""A mark is a signal number that nobody uses: the one for asynchronous input, which VMMs do not ask for (F_SETSIG)."""


class Asker:
    """Asks for the numbers of one tap's queues, with frames that come back on a packet socket.

    `receiver` is that socket: it cuts the frames of this asker to a length that tells the queue, drops those of others
    who ask, and gives all else whole. What is read of that on the way is handed to `keep`.
    """

    def __init__(self, receiver: socket.socket, keep: Callable[[bytes], object] = len) -> None:
        self._receiver = receiver
        self._keep = keep
        number = next(_askers) & 0xFFFF
        self._address = _NOBODY + struct.pack("!H", number)
        program = b"".join(struct.pack("HBBI", *instruction) for instruction in _filter(number))
        held = ctypes.create_string_buffer(program)
        receiver.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(held))
        )

    def number_of(self, queue: int) -> int | None:
        """The kernel's number of a queue, from 0; None if no answer comes, as from an interface that is down."""
        try:
            os.write(queue, bytes(tun.header_size(queue)) + self._address + _REST)
        except OSError:
            return None
        while select.select([self._receiver], [], [], _PATIENCE)[0]:
            frame = self._receiver.recv(65536)
            if not frame.startswith(self._address):
                self._keep(frame)
            else:
                return len(frame) - _ETHERNET - 1  # 0 would say that none was recorded
        return None


@contextmanager
def asker_on(tap: str) -> Iterator[Asker | None]:
    """An asker with a socket of its own, for whoever has none on the tap; None where the tap is in another network."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as receiver:
        asker = Asker(receiver)
        receiver.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        try:
            receiver.bind((tap, ETH_P_ALL))
        except OSError:
            yield None
            return
        yield asker


def _filter(number: int) -> Sequence[tuple[int, int, int, int]]:
    return (
        (_LOAD, 0, 0, 0),
        (_JUMP_IF, 0, 6, int.from_bytes(_NOBODY)),
        (_LOAD_HALF, 0, 0, 4),
        (_JUMP_IF, 0, 3, number),
        (_LOAD, 0, 0, _QUEUE),
        (_ADD, 0, 0, _ETHERNET),
        (_RETURN_SUM, 0, 0, 0),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, 0x40000),
    )


def mark(queue: int, pair: int) -> None:
    """Write on a queue which pair it is. It stays with the open file, whoever holds it."""
    if pair < _MARKS:
        fcntl.fcntl(queue, fcntl.F_SETSIG, pair + 1)


def marked(queue: int) -> int | None:
    """The pair that was written on a queue; None if none was."""
    signal = fcntl.fcntl(queue, fcntl.F_GETSIG)
    return signal - 1 if signal else None


def trustworthy(numbers: Sequence[int | None], marks: Sequence[int | None]) -> bool:
    """Whether the kernel's numbers of all queues of a tap tell which pair each is.

    They do if each occurs once, and queues that are marked already still have theirs: then no queue was attached
    again since it was opened, or in the order of the pairs.
    """
    once = sorted(n for n in numbers if n is not None) == list(range(len(numbers)))
    return once and all(m in (None, n) for n, m in zip(numbers, marks, strict=True))
