"""A tap as network backend, and its witnesses: which queues the VMM holds attached, told by the kernel.

What each witness knows: rtnetlink counts attached and detached queues; TUNGETIFF on a duplicate of the VMM's
descriptor tells of one queue; RTM_NEWLINK events give the order of changes while the interface is up.
/proc/PID/fdinfo names the tap for detached queues too and tells nothing of attachment.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink import nlmsg
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTM_NEWLINK
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from harness.errors import BadInput, Unavailable
from harness.host import tun
from harness.host.backend import HostView
from harness.vmm.base import Attachment, TapByName

RTMGRP_LINK = 1
ETH_P_ALL = 3
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
SO_RCVBUFFORCE = 33
CAPTURE_BYTES = 32 << 20
"""How much of what the guest sends the kernel keeps for us between two looks."""
_NAME_LIMIT = 15


@dataclass(frozen=True)
class TapQueues:
    """A tap's queues: `attached` and `detached` by count; `each`, pair by pair, True where attached.

    `each` follows the order in which the VMM opened them, which is that of the pairs; it is empty while the
    VMM holds none.
    """

    attached: int
    detached: int
    each: tuple[bool, ...]

    @property
    def pairs(self) -> frozenset[int]:
        """The pairs whose queue is attached."""
        return frozenset(pair for pair, attached in enumerate(self.each) if attached)


@dataclass(frozen=True)
class LinkChange:
    """One RTM_NEWLINK: queues attached and detached after a change."""

    attached: int
    detached: int


class Tap:
    """A tap interface of this network namespace, up, made for as many queues as the NIC has pairs.

    Raises BadInput if the name is taken, Unavailable without the right to make one.
    """

    kind = "tap"

    def __init__(self, name: str, pairs: int) -> None:
        self.name = name
        self.attachment: Attachment = TapByName(name)
        self.pairs = pairs
        with ExitStack() as undo:
            self._links = IPRoute()
            undo.callback(self._links.close)
            self._create()
            undo.callback(self._delete)
            # subscribed before the interface goes up: the kernel reports queue changes only while it is up
            self._events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            undo.callback(self._events.close)
            self._events.bind((0, RTMGRP_LINK))
            self._links.link("set", index=self.index, state="up")
            self._sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            undo.callback(self._sender.close)
            self._sender.bind((name, 0))
            self._receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            undo.callback(self._receiver.close)
            self._receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, CAPTURE_BYTES)
            self._receiver.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self._receiver.bind((name, ETH_P_ALL))
            self._undo = undo.pop_all()
        self._reader = MarshalRtnl()
        self._last_seen: tuple[int, int] | None = None

    def _create(self) -> None:
        if len(self.name) > _NAME_LIMIT:
            raise BadInput(f"tap name {self.name!r} is too long: the kernel takes {_NAME_LIMIT} characters")
        if self._links.link_lookup(ifname=self.name):
            raise BadInput(
                f"the interface {self.name!r} exists already: remove it with ip link del {self.name}"
            )
        try:
            # multi_queue must match the VMM's own flag, which it sets for two pairs and more (TUNSETIFF: EINVAL)
            tun.create_persistent(self.name, multi_queue=self.pairs > 1)
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES):
                raise Unavailable(f"may not open {tun.DEVICE}: run again with sudo") from error
            if error.errno in (errno.ENOENT, errno.ENODEV):
                raise Unavailable(f"{tun.DEVICE} is missing: load the module with modprobe tun") from error
            raise
        self.index: int = self._links.link_lookup(ifname=self.name)[0]

    def _delete(self) -> None:
        try:
            self._links.link("del", index=self.index)
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                raise

    # Witnesses

    def counts(self) -> tuple[int, int]:
        """Attached and detached queues by rtnetlink (IFLA_TUN_NUM_QUEUES, IFLA_TUN_NUM_DISABLED_QUEUES).

        A tap that is not multi-queue has no such attributes: it counts as one attached queue.
        """
        (link,) = self._links.get_links(self.index)
        return _queue_counts(link)

    def view(self, pid: int) -> HostView:
        """The pairs whose queue is attached: counted by rtnetlink, told apart by TUNGETIFF."""
        queues = self.queues(pid)
        return HostView(queues.attached, queues.pairs, queues.attached + queues.detached)

    def queues(self, pid: int) -> TapQueues:
        """What VMM process `pid` holds of this tap."""
        attached, detached = self.counts()
        return TapQueues(attached, detached, tuple(self._each(pid)))

    def _each(self, pid: int) -> list[bool]:
        """Attachment of each queue, in the order of the lowest descriptor that holds it.

        VMMs duplicate descriptors freely, so those that share an open file description count once.
        """
        pidfd = os.pidfd_open(pid)
        unique: list[int] = []
        states: list[bool] = []
        try:
            for number in _tun_descriptors(pid):
                try:
                    duplicate = tun.duplicate_from(pidfd, number)
                except OSError:
                    continue  # closed meanwhile
                try:
                    name, flags = tun.interface_of(duplicate)
                except OSError:
                    os.close(duplicate)
                    continue  # bound to no interface
                if name != self.name or any(tun.same_file(duplicate, other) for other in unique):
                    os.close(duplicate)
                    continue
                unique.append(duplicate)
                states.append(not flags & tun.IFF_DETACH_QUEUE)
        finally:
            # at once: a duplicate that outlives the VMM would keep its queue alive
            for duplicate in unique:
                os.close(duplicate)
            os.close(pidfd)
        return states

    def changes(self) -> list[str]:
        """The changes of queue counts since the last call, in words."""
        return [f"{change.attached} attached, {change.detached} detached" for change in self.link_changes()]

    def link_changes(self) -> list[LinkChange]:
        """The changes of queue counts since the last call, in order. Repetitions of one state are left out."""
        found: list[LinkChange] = []
        while True:
            try:
                data = self._events.recv(65536)
            except BlockingIOError:
                return found
            for message in self._reader.parse(data):
                if message["header"]["type"] != RTM_NEWLINK or message["index"] != self.index:
                    continue
                counts = _queue_counts(message)
                if counts != self._last_seen:
                    self._last_seen = counts
                    found.append(LinkChange(*counts))

    # Frames

    def inject(self, frames: Sequence[bytes]) -> None:
        """Put Ethernet frames on the wire towards the guest, in order. The kernel chooses their queue."""
        send = self._sender.send
        for frame in frames:
            while True:
                try:
                    send(frame)
                    break
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
                    time.sleep(0)  # the queue of the interface is full: let the VMM run

    def capture(self) -> list[bytes]:
        """What the guest sent since the last call."""
        frames = []
        while True:
            try:
                frames.append(self._receiver.recv(65536))
            except BlockingIOError:
                return frames

    def close(self) -> None:
        """Remove the interface. Queues that a VMM still holds keep it alive until it ends."""
        self._undo.close()


def _queue_counts(link: nlmsg) -> tuple[int, int]:
    """Attached and detached queues in a link message; a tap without the attributes counts as one queue."""
    kind = link.get_attr("IFLA_LINKINFO")
    data = kind.get_attr("IFLA_INFO_DATA") if kind else None
    attached = data.get_attr("IFLA_TUN_NUM_QUEUES") if data else None
    if data is None or attached is None:
        return 1, 0
    return attached, data.get_attr("IFLA_TUN_NUM_DISABLED_QUEUES") or 0


def _tun_descriptors(pid: int) -> list[int]:
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if str(entry.readlink()) == tun.DEVICE:
                found.append(int(entry.name))
        except FileNotFoundError:
            continue
    return sorted(found)
