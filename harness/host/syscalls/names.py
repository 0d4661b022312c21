"""Names for the numbers of system calls and ioctl commands."""

from __future__ import annotations

import ctypes
import functools

from harness.host import tun

COMMANDS = {
    0x400454C8: "TUNSETNOCSUM",
    tun.TUNSETIFF: "TUNSETIFF",
    tun.TUNSETPERSIST: "TUNSETPERSIST",
    0x800454CF: "TUNGETFEATURES",
    0x400454D0: "TUNSETOFFLOAD",
    tun.TUNGETIFF: "TUNGETIFF",
    0x400454D4: "TUNSETSNDBUF",
    0x400454D8: "TUNSETVNETHDRSZ",
    tun.TUNSETQUEUE: "TUNSETQUEUE",
    0x800454E0: "TUNSETSTEERINGEBPF",
    0x400454E2: "TUNSETCARRIER",
}
"""The ioctl commands of tun and tap interfaces (linux/if_tun.h)."""

_NATIVE = 0


@functools.cache
def _libseccomp() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
    return library


def system_call_name(number: int) -> str | None:
    """The name of this machine's system call of that number; None without libseccomp, or for no such call."""
    library = _libseccomp()
    if library is None:
        return None
    name = library.seccomp_syscall_resolve_num_arch(_NATIVE, number)
    if not name:
        return None
    try:
        return ctypes.string_at(name).decode()
    finally:
        ctypes.CDLL(None).free(ctypes.c_void_p(name))


def command_name(command: int) -> str:
    """`TUNSETQUEUE (0x400454d9)` for a command of tun's, the bare number for others."""
    name = COMMANDS.get(command)
    return f"{name} ({command:#x})" if name else f"{command:#x}"
