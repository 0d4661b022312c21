"""A network namespace for this process alone, so that taps, addresses and counters of two runs never meet."""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from harness.errors import Unavailable, unforeseen
from harness.host import refusal, tun
from harness.host.machine import check_architecture
from harness.host.refusal import Refused

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWNS = 0x10000000, 0x40000000, 0x00020000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
_FSCONFIG_CMD_CREATE = 6
_SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 430, 431, 432

IPV6_OFF = "sys/net/ipv6/conf/default/disable_ipv6"
"""Below /proc."""

_entered = False
_own_sysfs = False


def prepare() -> None:
    """Find the way into a network namespace on this host, and make it possible for this process and its children.

    Each way is tried in a child first, for a process that has gone half-way cannot go back. With the right to make
    namespaces nothing remains to be done; without it, root's rights are taken in a user namespace of our own, which
    children and xdist workers inherit. Needs a process of one thread (unshare(2)), so call it first thing.

    Raises Unavailable, in one sentence with the way out, where there is no way. Everything that runs VMs comes by here
    first, so other machines than ours are turned away here too.
    """
    check_architecture()

    def as_we_are_now() -> None:
        enter()
        _try_a_tap()

    def as_root_of_our_own() -> None:
        _become_root_in_user_namespace()
        as_we_are_now()

    as_we_are = _outcome(as_we_are_now)
    if as_we_are is None:
        return

    with_user_namespace = _outcome(as_root_of_our_own)
    if with_user_namespace is None:
        _become_root_in_user_namespace()
    elif os.geteuid() == 0:
        raise Refused(f"{as_we_are.why}, and {with_user_namespace.why}", with_user_namespace.way)
    else:  # who has no right to start with need not be told so
        raise with_user_namespace


def enter() -> None:
    """Move the calling thread, and all that it starts from now on, into a fresh network namespace.

    It comes with a mount namespace whose /sys shows the new network namespace, where the kernel allows that: VMMs
    look at /sys/class/net. IPv6 is off by default inside, so that no frame is on the wire that the suite did not
    send. Both vanish with the process. Calling it again does nothing. unshare(2) acts on the calling thread alone:
    call it in the main thread before others are started.

    Raises Unavailable without the right to do so.
    """
    global _entered, _own_sysfs
    if _entered:
        return
    if threading.current_thread() is not threading.main_thread():
        raise Unavailable("the network namespace must be entered from the main thread")
    if _libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS):
        raise refusal.of_network_namespace(ctypes.get_errno())
    _keep_mounts_to_ourselves()
    _own_sysfs = _mount_sysfs()
    _turn_ipv6_off()
    _entered = True


def has_own_sysfs() -> bool:
    """Whether /sys shows the network namespace that was entered, and not the one outside."""
    return _own_sysfs


def _outcome(attempt: Callable[[], None]) -> Refused | None:
    """What becomes of `attempt` in a child process: None if it works, else why it does not."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            attempt()
        except Refused as error:
            os.write(writing, pickle.dumps(error))
        except BaseException as error:  # whatever it is, it must not go on as a second copy of this process
            why = unforeseen("no network namespace was entered", error)
            os.write(writing, pickle.dumps(Refused(*why.rsplit(": ", 1))))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(said) if said else None


def _try_a_tap() -> None:
    """Making one takes a right of its own. Whether there is a device to ask at all is for others to say."""
    if os.access(tun.DEVICE, os.R_OK | os.W_OK):
        try:
            os.close(tun.open_queue("trial", multi_queue=True))
        except PermissionError as error:
            raise refusal.of_tap(error) from error


def _become_root_in_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(_CLONE_NEWUSER):
        raise refusal.of_user_namespace(uid, ctypes.get_errno())
    for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        try:
            Path("/proc/self", file).write_text(text)
        except OSError as error:
            raise refusal.of_identity(uid, file, error) from error


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    """mount(2); raises OSError."""
    if _libc.mount(source.encode(), target.encode(), kind.encode() if kind else None, flags, None):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _keep_mounts_to_ourselves() -> None:
    """What is mounted from here on shows nowhere else.

    In a chroot whose / is no mount point, that takes a look from outside: setns(2) leads to the namespace's root.
    """
    try:
        try:
            _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            _make_private_from_outside_the_chroot()
    except OSError as error:
        raise refusal.of_mounts(error) from error


def _make_private_from_outside_the_chroot() -> None:
    root, folder = os.open("/", os.O_PATH), os.open(".", os.O_PATH)
    namespace = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
    try:
        if _libc.setns(namespace, _CLONE_NEWNS):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        try:
            _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
        finally:
            os.fchdir(root)
            os.chroot(".")
            os.fchdir(folder)
    finally:
        for descriptor in (root, folder, namespace):
            os.close(descriptor)


def _mount_sysfs() -> bool:
    """Let /sys show the new network namespace; whether that was possible.

    In a user namespace the kernel allows no more than is seen already: read-only where /sys is, and not at all where
    something is mounted on top of a part of it (mount_too_revealing(), Linux fs/namespace.c).
    """
    for flags in (0, _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC):
        with suppress(OSError):
            _mount("sysfs", "/sys", "sysfs", flags)
            return True
    return False


def _turn_ipv6_off() -> None:
    file = Path("/proc", IPV6_OFF)
    if not file.exists():
        return
    try:
        file.write_text("1")
    except OSError as error:
        try:
            _write_to_own_proc(IPV6_OFF, b"1")
        except OSError:
            raise refusal.of_proc_sys(error) from error


def _write_to_own_proc(name: str, data: bytes) -> None:
    """Write by a view of /proc of our own, mounted nowhere: containers show /proc/sys read-only."""

    def call(number: int, *arguments: object) -> int:
        answer: int = _libc.syscall(number, *arguments)
        if answer < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return answer

    context = call(_SYS_FSOPEN, b"proc", 0)
    try:
        call(_SYS_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        proc = call(_SYS_FSMOUNT, context, 0, 0)
    finally:
        os.close(context)
    try:
        file = os.open(name, os.O_WRONLY, dir_fd=proc)
        try:
            os.write(file, data)
        finally:
            os.close(file)
    finally:
        os.close(proc)
