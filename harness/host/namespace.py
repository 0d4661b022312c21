"""A network namespace for this process alone, so that taps, addresses and counters of two runs never meet."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from pathlib import Path

from harness.errors import Unavailable

_libc = ctypes.CDLL(None, use_errno=True)
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18

_entered = False


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    done = _libc.mount(source.encode(), target.encode(), kind.encode() if kind else None, flags, None)
    if done:
        code = ctypes.get_errno()
        raise Unavailable(f"cannot mount {kind or source} on {target} ({os.strerror(code)})")


def become_root_in_user_namespace() -> None:
    """Without root rights, take them inside a user namespace of our own; with them, do nothing.

    Children and xdist workers inherit it. Needs a process of one thread (unshare(2)), so it is called first thing.
    Raises Unavailable where the kernel does not allow it.
    """
    if os.geteuid() == 0:
        return
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(os.CLONE_NEWUSER if hasattr(os, "CLONE_NEWUSER") else 0x10000000):
        code = ctypes.get_errno()
        raise Unavailable(
            f"network namespaces need root rights, and this kernel gives ordinary users none "
            f"({os.strerror(code)}): run again with sudo"
        )
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def enter() -> None:
    """Move the calling thread, and all that it starts from now on, into a fresh network namespace.

    It comes with a mount namespace whose /sys shows the new network namespace: VMMs look at /sys/class/net.
    IPv6 is off by default inside, so that no frame is on the wire that the suite did not send.
    Both vanish with the process. Calling it again does nothing. unshare(2) acts on the calling thread alone:
    call it in the main thread before others are started.

    Raises Unavailable without the right to do so.
    """
    global _entered
    if _entered:
        return
    if threading.current_thread() is not threading.main_thread():
        raise Unavailable("the network namespace must be entered from the main thread")
    if _libc.unshare(0x40000000 | 0x00020000):  # CLONE_NEWNET | CLONE_NEWNS
        code = ctypes.get_errno()
        way_out = "run again with sudo" if code == errno.EPERM else "this kernel lacks network namespaces"
        raise Unavailable(f"cannot make a network namespace ({os.strerror(code)}): {way_out}")
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount("sysfs", "/sys", "sysfs", 0)
    ipv6 = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
    if ipv6.exists():
        ipv6.write_text("1")
    _entered = True
