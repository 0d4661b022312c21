"""A macvtap as network backend: queues of an interface that sits on another one, handed over as descriptors.

The kernel tells nobody which of them are attached: there is no count (rtnetlink), no event, and TUNGETIFF does not say
it (Linux drivers/net/tap.c). What it does tell is whether a queue can be detached, so that is how one asks.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Self

from harness.errors import Unavailable
from harness.host import namespace, tun
from harness.host.backend import HostView, Place
from harness.host.changes import Change
from harness.host.wire import Wire
from harness.vmm.base import TapByFds

DEVICE_MODE = 0o600 | 0o020000
"""Of a character device (mknod(2))."""


class Macvtap:
    """A macvtap in passthru mode on one end of a veth pair, whose other end is the wire: queue i is that of pair i.

    The descriptors stay open here too: they are the same open files as the VMM's. Raises Unavailable without a kernel
    that has macvtap, or the right to make one.
    """

    name = "macvtap"
    kind = "macvtap"
    away = False

    def __init__(self, place: Place, pairs: int) -> None:
        from pyroute2 import IPRoute  # slow to import

        self.pairs = pairs
        self.descriptors: list[int] = []
        self._name = place.name
        parent, wire = f"{place.name}-on", f"{place.name}-out"
        with ExitStack() as undo, _explained():
            self._links = IPRoute()
            undo.callback(self._links.close)
            self._links.link("add", ifname=parent, kind="veth", peer=wire)
            undo.callback(self._delete, parent)
            (on,) = self._links.link_lookup(ifname=parent)
            self._links.link("add", ifname=place.name, kind="macvtap", link=on, macvtap_mode="passthru")
            undo.callback(self._close_descriptors)
            self._open(place.folder)
            for interface in (parent, wire, place.name):
                self._links.link("set", index=self._links.link_lookup(ifname=interface)[0], state="up")
            self._wire = Wire(wire)
            undo.callback(self._wire.close)
            self._undo = undo.pop_all()
        self.attachment = TapByFds(tuple(self.descriptors))

    def _open(self, folder: Path) -> None:
        """Open a queue for each pair, by a device file of our own: this network's interfaces have none in /dev."""
        if not namespace.has_own_sysfs():
            raise Unavailable(
                "a macvtap's device number is found in /sys, which shows another network here: use root"
            )
        (numbers,) = Path(f"/sys/class/net/{self._name}").glob("tap*/dev")
        major, minor = map(int, numbers.read_text().split(":"))
        device = folder / "macvtap"
        os.mknod(device, DEVICE_MODE, os.makedev(major, minor))
        for _ in range(self.pairs):
            self.descriptors.append(
                tun.open_queue(self._name, multi_queue=self.pairs > 1, device=os.fspath(device))
            )

    def _delete(self, interface: str) -> None:
        for index in self._links.link_lookup(ifname=interface):
            self._links.link("del", index=index)

    def _close_descriptors(self) -> None:
        while self.descriptors:
            os.close(self.descriptors.pop())

    @classmethod
    def lacking(cls) -> str | None:
        """Why this host has none, or None."""
        return _lacking()

    def adopt(self) -> None:
        """The VMM has been given everything."""

    def view(self, pid: int) -> HostView:
        """The pairs whose queue can be detached; it is attached again at once. There is no second source."""
        pairs = frozenset(pair for pair, fd in enumerate(self.descriptors) if _is_attached(fd))
        return HostView(len(pairs), pairs, len(self.descriptors))

    def changes(self) -> list[Change]:
        """Nothing: the kernel tells of none."""
        return []

    def inject(self, frames: Sequence[bytes]) -> None:
        """Put Ethernet frames on the wire towards the guest, in order. The kernel chooses their queue."""
        self._wire.put(frames)

    def capture(self) -> list[bytes]:
        """What the guest sent since the last call."""
        return self._wire.take()

    def sibling(self, place: Place, pairs: int) -> Self:
        """Another macvtap, on a wire of its own."""
        return type(self)(place, pairs)

    def failure(self) -> str:
        """Nothing: a macvtap is the kernel's."""
        return ""

    def close(self) -> None:
        """Remove the interfaces."""
        self._undo.close()


def _is_attached(fd: int) -> bool:
    """Whether a queue is attached, by trying: it answers EINVAL to what it is already."""
    try:
        tun.set_queue(fd, attach=False)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    tun.set_queue(fd, attach=True)
    return True


@contextmanager
def _explained() -> Iterator[None]:
    from pyroute2.netlink.exceptions import NetlinkError  # slow to import

    try:
        yield
    except NetlinkError as error:
        if error.code == errno.EOPNOTSUPP:
            raise Unavailable("this kernel has no macvtap: load it with modprobe macvtap") from error
        raise
    except PermissionError as error:
        raise Unavailable(
            f"may not make a macvtap's device file ({error}): run as root, outside a container that forbids mknod"
        ) from error


@cache
def _lacking() -> str | None:
    """One is made, and removed."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            Macvtap(Place("mqtry", Path(folder)), 1).close()
    except Unavailable as error:
        return str(error)
    return None
