"""The kernel's side of seccomp user notification: receive a call, answer it (seccomp_unotify(2))."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import struct
from dataclasses import dataclass

NOTIF_RECV = 0xC0502100
NOTIF_SEND = 0xC0182101
NOTIF_ID_VALID = 0x40082102

FLAG_CONTINUE = 1

_NOTIFICATION = struct.Struct("<QIIiIQ6Q")
_RESPONSE = struct.Struct("<QqiI")
_GONE = (errno.ENOENT, errno.EINTR, errno.EINPROGRESS)


@dataclass(frozen=True)
class Notification:
    """A system call that waits for an answer. `tid` is the thread's, seen from this process."""

    id: int
    tid: int
    number: int
    arguments: tuple[int, ...]


def receive(listener: int) -> Notification | None:
    """Take the next call that waits; None if its caller died meanwhile. Poll the listener for POLLIN first."""
    buffer = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, NOTIF_RECV, buffer)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    identity, tid, _flags, number, _arch, _pointer, *arguments = _NOTIFICATION.unpack(buffer)
    return Notification(identity, tid, number, tuple(arguments))


def still_waits(listener: int, notification: Notification) -> bool:
    """Whether the caller still waits: only then is what was read under its tid really its own."""
    try:
        fcntl.ioctl(listener, NOTIF_ID_VALID, struct.pack("<Q", notification.id))
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise
    return True


def answer(listener: int, notification: Notification, error: int) -> bool:
    """Let the call return: 0 as success, another number as that errno. False if the caller is gone."""
    return _send(listener, _RESPONSE.pack(notification.id, 0, -error, 0))


def answer_length(listener: int, notification: Notification, length: int) -> bool:
    """Let the call return that so many bytes have passed. False if the caller is gone."""
    return _send(listener, _RESPONSE.pack(notification.id, length, 0, 0))


def let_run(listener: int, notification: Notification) -> bool:
    """Let the kernel carry the call out for its caller; the result stays unknown. False if it is gone."""
    return _send(listener, _RESPONSE.pack(notification.id, 0, 0, FLAG_CONTINUE))


def _send(listener: int, response: bytes) -> bool:
    with contextlib.suppress(FileNotFoundError):
        fcntl.ioctl(listener, NOTIF_SEND, response)
        return True
    return False
