"""The few system calls of this package for which Python has no function of its own."""

from __future__ import annotations

import ctypes
import os
import platform
from dataclasses import dataclass

from harness.errors import Unavailable

PR_SET_NO_NEW_PRIVS = 38


@dataclass(frozen=True)
class Abi:
    """What differs between processors: the audit architecture token and system call numbers."""

    audit: int
    ioctl: int
    epoll_create1: int
    seccomp: int
    read: int
    write: int
    readv: int
    writev: int


ABIS = {
    "x86_64": Abi(0xC000003E, ioctl=16, epoll_create1=291, seccomp=317, read=0, write=1, readv=19, writev=20),
    "aarch64": Abi(
        0xC00000B7, ioctl=29, epoll_create1=20, seccomp=277, read=63, write=64, readv=65, writev=66
    ),
}

_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> Abi:
    """The running processor's numbers. Raises Unavailable where this package does not know them."""
    machine = platform.machine()
    if machine not in ABIS:
        known = " and ".join(ABIS)
        raise Unavailable(f"system calls can be supervised on {known} only, and this machine is {machine}")
    return ABIS[machine]


def seccomp(operation: int, flags: int, arguments: ctypes.Structure) -> int:
    """seccomp(2) on the calling thread. Raises OSError."""
    result = int(_libc.syscall(abi().seccomp, operation, flags, ctypes.byref(arguments)))
    if result < 0:
        raise _last_error()
    return result


def no_new_privileges() -> None:
    """Forbid this thread, and what it starts, to gain privileges by executing a file (prctl(2))."""
    if _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise _last_error()


def _last_error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))
