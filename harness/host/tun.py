"""The kernel's tun/tap interface, as far as the suite uses it (Linux uapi, linux/if_tun.h)."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

from harness.errors import Unavailable

DEVICE = "/dev/net/tun"
HOW_TO_HAVE_IT = "load the module with modprobe tun, or give the container --device /dev/net/tun"
TUNSETIFF = 0x400454CA
TUNGETIFF = 0x800454D2
TUNSETQUEUE = 0x400454D9
TUNSETPERSIST = 0x400454CB
TUNGETVNETHDRSZ = 0x800454D7
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
IFF_MULTI_QUEUE = 0x0100
IFF_ATTACH_QUEUE = 0x0200
IFF_DETACH_QUEUE = 0x0400

_IFREQ = struct.Struct("16sH22x")
_SYS_PIDFD_GETFD = 438
_SYS_KCMP = 312
_KCMP_FILE = 0
_libc = ctypes.CDLL(None, use_errno=True)


def interface_of(fd: int) -> tuple[str, int]:
    """Name and IFF_ flags of the interface that a tun descriptor is bound to (TUNGETIFF).

    The kernel sets IFF_DETACH_QUEUE in the answer while the queue is detached (seen on 6.1 and 6.18).
    Raises OSError (EBADFD) for a descriptor that is bound to none.
    """
    answer = fcntl.ioctl(fd, TUNGETIFF, bytes(_IFREQ.size))
    name, flags = _IFREQ.unpack(answer)
    return name.rstrip(b"\0").decode(), flags


def header_size(fd: int) -> int:
    """Bytes of the virtio-net header before each frame of a queue (TUNGETVNETHDRSZ); 0 if it has none."""
    if not interface_of(fd)[1] & IFF_VNET_HDR:
        return 0
    size: int = struct.unpack("i", fcntl.ioctl(fd, TUNGETVNETHDRSZ, bytes(4)))[0]
    return size


def open_queue(name: str, *, multi_queue: bool, device: str = DEVICE) -> int:
    """A descriptor of one more queue of tap `name`, attached; the tap is made where there is none.

    A macvtap, which is there, has a `device` file of its own.
    """
    fd = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (IFF_MULTI_QUEUE if multi_queue else 0)
    try:
        fcntl.ioctl(fd, TUNSETIFF, _IFREQ.pack(name.encode(), flags))
    except OSError:
        os.close(fd)
        raise
    return fd


def create_persistent(name: str, *, multi_queue: bool) -> None:
    """Make a tap that stays when its last descriptor is closed (TUNSETPERSIST), with no queue attached."""
    fd = open_queue(name, multi_queue=multi_queue)
    try:
        fcntl.ioctl(fd, TUNSETPERSIST, 1)
    finally:
        os.close(fd)


def set_queue(fd: int, *, attach: bool) -> None:
    """Attach or detach one queue (TUNSETQUEUE). The kernel answers EINVAL if it is in that state already."""
    flags = IFF_ATTACH_QUEUE if attach else IFF_DETACH_QUEUE
    fcntl.ioctl(fd, TUNSETQUEUE, _IFREQ.pack(b"", flags))


def duplicate_from(pidfd: int, fd: int) -> int:
    """Another process's descriptor, duplicated into this one (pidfd_getfd(2), Linux 5.6).

    Raises Unavailable without the right to look into that process.
    """
    got: int = _libc.syscall(_SYS_PIDFD_GETFD, pidfd, fd, 0)
    if got < 0:
        code = ctypes.get_errno()
        if code == 1:
            raise Unavailable(
                "may not look at the VMM's descriptors (pidfd_getfd: EPERM): run again with sudo"
            )
        raise OSError(code, os.strerror(code))
    return got


def same_file(first: int, second: int) -> bool:
    """Whether two descriptors of this process share one open file description (kcmp(2)).

    Raises Unavailable where the kernel has no kcmp (CONFIG_KCMP).
    """
    pid = os.getpid()
    answer: int = _libc.syscall(_SYS_KCMP, pid, pid, _KCMP_FILE, first, second)
    if answer < 0:
        raise Unavailable("this kernel cannot tell the queues of a tap apart (kcmp(2) needs CONFIG_KCMP)")
    return answer == 0
