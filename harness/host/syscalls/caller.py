"""Who made a call, and for which tap: read from the caller while it waits."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from pathlib import Path

from harness.host import tun
from harness.host.syscalls.call import Action, Caller
from harness.host.syscalls.notifications import Notification

FLAGS_OFFSET = 16
"""Of ifr_flags in struct ifreq."""


def look_at(notification: Notification) -> Caller | None:
    """Read the caller's memory and descriptors; None if it died meanwhile.

    The caller may have died, and its tid be another's by now: nothing of this counts unless
    `notifications.still_waits` says so afterwards. Raises Unavailable without the right to look.
    """
    tid, fd = notification.tid, ctypes.c_int(notification.arguments[0]).value
    try:
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{tid}/status").read_text().splitlines()
            if ":\t" in line
        )
        pid = int(status["Tgid"])
        return Caller(pid, tid, status["Name"], fd, _tap(pid, fd), _action(tid, notification.arguments[2]))
    except (FileNotFoundError, ProcessLookupError):
        return None


def _action(tid: int, address: int) -> Action | None:
    memory = os.open(f"/proc/{tid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        (flags,) = struct.unpack("=H", os.pread(memory, 2, address + FLAGS_OFFSET))
    except OSError as error:
        if error.errno == errno.EIO:
            return None  # not mapped: the kernel will answer EFAULT
        raise
    finally:
        os.close(memory)
    return Action(flags) if flags in list(Action) else None


def _tap(pid: int, fd: int) -> str:
    process = os.pidfd_open(pid)
    try:
        duplicate = tun.duplicate_from(process, fd)
    except OSError as error:
        if error.errno == errno.EBADF:
            return ""
        raise
    finally:
        os.close(process)
    try:
        return tun.interface_of(duplicate)[0]
    except OSError as error:
        if error.errno in (errno.EBADFD, errno.ENOTTY, errno.EINVAL, errno.EBADF):
            return ""
        raise
    finally:
        os.close(duplicate)
