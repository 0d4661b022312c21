"""A tap as network backend, and its witnesses: which queues the VMM holds attached, told by the kernel.

What each witness knows: rtnetlink counts attached and detached queues; TUNGETIFF on a duplicate of the VMM's
descriptor tells of one queue, and the kernel's number of that queue, which pair it is; RTM_NEWLINK events give the
order of changes while the interface is up. /proc/PID/fdinfo names the tap for detached queues too and tells nothing
of attachment.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from harness.deadline import wait_until
from harness.errors import BadInput, HarnessError, Owner, Unavailable
from harness.host import farewell, links, namespace, tun
from harness.host.backend import HostView, Place
from harness.host.changes import Change, QueueCounts
from harness.host.held_queues import held_queues, in_order
from harness.host.links import RTMGRP_LINK, Links
from harness.host.queue_numbers import Asker, mark
from harness.host.wire import TAKEN_WITHIN, Wire, enlarge
from harness.vmm.base import Attachment, TapByFds, TapByName

EVENT_BYTES = 16 << 20
"""Room for events that nobody has read yet: a message has 2 KB, and a NIC of 256 pairs makes hundreds at once."""
VHOST_NET = Path("/dev/vhost-net")
_NAME_LIMIT = 15
MADE_WITHIN = 5.0
"""Seconds in which a VMM makes its own tap."""


@dataclass(frozen=True)
class TapQueues:
    """A tap's queues: `attached` and `detached` by count; `each`, pair by pair, True where attached.

    Queue i is that of pair i: VMMs open them in this order. `each` is empty while the VMM holds none.
    """

    attached: int
    detached: int
    each: tuple[bool, ...]

    @property
    def pairs(self) -> frozenset[int]:
        """The pairs whose queue is attached."""
        return frozenset(pair for pair, attached in enumerate(self.each) if attached)


class Tap:
    """A tap of this network namespace, made before the VMM starts: up, with room for as many queues as pairs.

    For a VMM that opens one queue however many pairs there are, it is not `multi_queue`.

    Raises BadInput if the name is taken, Unavailable without the right to make one.
    """

    kind = "tap"
    away = False

    def __init__(self, name: str, pairs: int, *, multi_queue: bool = True) -> None:
        if len(name) > _NAME_LIMIT:
            raise BadInput(f"tap name {name!r} is too long: the kernel takes {_NAME_LIMIT} characters")
        self.name = name
        self.pairs = pairs
        self._multi_queue = multi_queue and pairs > 1
        self._last_seen: tuple[int, int] | None = None
        self._heirs: set[int] = set()
        self._index: int | None = None
        with ExitStack() as undo:
            self._links = Links()
            undo.callback(self._go)
            if links.index_of(name) is not None:
                farewell.settle()  # it may be one of ours that is on its way out
            if links.index_of(name) is not None:
                raise BadInput(f"the interface {name!r} exists already: remove it with ip link del {name}")
            # subscribed before the interface is there: the kernel reports each change once, and only while it is up
            self._events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            undo.callback(self._events.close)
            enlarge(self._events, EVENT_BYTES)
            self._events.bind((0, RTMGRP_LINK))
            self.attachment = self._make(undo)
            self._undo = undo.pop_all()

    def _make(self, undo: ExitStack) -> Attachment:
        """Make the interface; what the VMM is to be told."""
        with _explained():
            # multi_queue must match the VMM's own flag, which it sets for two pairs and more (TUNSETIFF: EINVAL)
            tun.create_persistent(self.name, multi_queue=self._multi_queue)
        self._open(undo)
        return TapByName(self.name)

    @property
    def index(self) -> int:
        """The interface's index. Raises HarnessError where there is no interface yet, or was none."""
        if self._index is None:
            raise HarnessError(f"the tap {self.name} is not there")
        return self._index

    def adopt(self) -> None:
        """Called once the VMM runs: for taps that are not there before."""

    def inherit(self, pid: int) -> None:
        """Called for a VMM that opened its queues while another held some: the kernel's numbers are mixed up then.

        A queue that goes away leaves its number to the last one (__tun_detach(), Linux drivers/net/tun.c).
        """
        self._heirs.add(pid)

    def _open(self, undo: ExitStack) -> None:
        """Put the interface up and get hold of both ends of its wire."""
        self._index = links.index_of(self.name)
        self._links.set_up(self.index, True)
        self._state = Path(f"/sys/class/net/{self.name}/operstate")
        self._wire = Wire(self.name)
        undo.callback(farewell.later, self._wire.close)
        self._asker = Asker(self._wire.receiver, keep=self._wire.keep)

    def set_up(self, up: bool) -> None:
        """Set the interface up or down, as `ip link set` does. While it is down, what is written to it fails (EIO)."""
        self._links.set_up(self.index, up)
        self._wire.forget_trouble()

    def set_carrier(self, on: bool) -> None:
        """Pull the cable, or plug it in again: the interface is up, and the host sends nothing."""
        self._links.set_carrier(self.index, on)

    def remove(self) -> None:
        """Remove the interface under the VMM. It does not come back."""
        try:
            self._links.delete(self.index)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    def _go(self) -> None:
        if self._index is None:
            self._links.close()
        else:
            farewell.dismiss(self._links, self._index)

    # Witnesses

    def counts(self) -> tuple[int, int]:
        """Attached and detached queues by rtnetlink (IFLA_TUN_NUM_QUEUES, IFLA_TUN_NUM_DISABLED_QUEUES).

        A tap that is not multi-queue has no such attributes: it counts as one attached queue.
        """
        return self._links.get(self.index).queue_counts

    def view(self, pid: int) -> HostView:
        """The pairs whose queue is attached: counted by rtnetlink, told apart by TUNGETIFF."""
        queues = self.queues(pid)
        return HostView(queues.attached, queues.pairs, queues.attached + queues.detached)

    def queues(self, pid: int) -> TapQueues:
        """What VMM process `pid` holds of this tap."""
        attached, detached = self.counts()
        return TapQueues(attached, detached, tuple(self._each(pid)))

    def _each(self, pid: int) -> list[bool]:
        """Attachment of each queue, pair by pair."""
        with held_queues(pid, self.name) as held:
            in_pairs = in_order(held, None if pid in self._heirs else self._asker)
            return [queue.attached for queue in in_pairs]

    def changes(self) -> list[Change]:
        """The changes of queue counts since the last call, one for each RTM_NEWLINK. Repetitions are left out."""
        found: list[Change] = []
        while True:
            try:
                data = self._events.recv(65536)
            except BlockingIOError:
                return found
            for link in links.events(data):
                counts = link.queue_counts
                if link.index == self.index and counts != self._last_seen:
                    self._last_seen = counts
                    found.append(QueueCounts(*counts))

    # Frames

    def inject(self, frames: Sequence[bytes]) -> None:
        """Put Ethernet frames on the wire towards the guest, in order. The kernel chooses their queue.

        Raises DeadlineExceeded if the interface takes none for a while, which it does unless it is stopped.
        """
        # sysfs, where it shows this network, answers in a tenth of the time that rtnetlink takes
        if not namespace.has_own_sysfs() or self._state.read_text() != "up\n":
            wait_until(
                f"the link of the tap {self.name} to be ready",
                self._ready,
                owed_by=Owner.HOST,
                within=TAKEN_WITHIN,
            )
        self._wire.put(frames)

    def _ready(self) -> bool:
        """Whether frames are let through, or are lost for good because nobody holds a queue.

        The kernel's link watch comes around some time after the first queue was attached. Until then the interface
        drops every frame without a trace (its queueing discipline is `noop`).
        """
        link = self._links.get(self.index)
        return not link.carrier or link.qdisc != "noop"

    def capture(self) -> list[bytes]:
        """What the guest sent since the last call."""
        return self._wire.take()

    def sibling(self, place: Place, pairs: int) -> Self:
        """Another tap of the same origin."""
        return type(self)(place.name, pairs, multi_queue=place.multi_queue)

    def failure(self) -> str:
        """Nothing: a tap is the kernel's."""
        return ""

    def close(self) -> None:
        """Give the interface up: it goes soon, with others (harness.host.farewell)."""
        self._undo.close()


class HandedTap(Tap):
    """A tap whose queues are opened here and handed to the VMM as descriptors, queue i for pair i.

    The descriptors stay open here, and tell of each queue without asking the VMM's process.
    """

    def _make(self, undo: ExitStack) -> Attachment:
        self.descriptors: list[int] = []
        undo.callback(self._close_descriptors)
        self._open_descriptors()
        self._open(undo)
        return TapByFds(tuple(self.descriptors))

    def renew(self) -> TapByFds:
        """Open the queues anew, and give those up that were handed over before: for a VMM that takes over."""
        before, self.descriptors = self.descriptors, []
        self._open_descriptors()
        for fd in before:
            os.close(fd)
        return TapByFds(tuple(self.descriptors))

    def _open_descriptors(self) -> None:
        with _explained():
            for pair in range(self.pairs):
                self.descriptors.append(tun.open_queue(self.name, multi_queue=self._multi_queue))
                mark(self.descriptors[-1], pair)

    def _close_descriptors(self) -> None:
        while self.descriptors:
            farewell.later(partial(os.close, self.descriptors.pop()))

    def _each(self, pid: int) -> list[bool]:
        return [not tun.interface_of(fd)[1] & tun.IFF_DETACH_QUEUE for fd in self.descriptors]


class VhostNetTap(Tap):
    """A tap whose frames a thread of the host's kernel moves for the VMM (vhost-net)."""

    def _make(self, undo: ExitStack) -> Attachment:
        super()._make(undo)
        return TapByName(self.name, vhost=True)

    @classmethod
    def lacking(cls) -> str | None:
        """Why this host has none, or None."""
        if VHOST_NET.exists():
            return None
        return f"{VHOST_NET} is missing: load the module with modprobe vhost_net, where the kernel has it"


class VmmTap(Tap):
    """A tap that the VMM makes itself, under a name that it is told."""

    def _make(self, undo: ExitStack) -> Attachment:
        return TapByName(self.name)

    def adopt(self) -> None:
        """Wait for the tap to appear, and put it up."""
        wait_until(
            f"the VMM to make the tap {self.name}",
            lambda: links.index_of(self.name),
            owed_by=Owner.VMM,
            within=MADE_WITHIN,
        )
        self._open(self._undo)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn the kernel's refusals to make a tap into a sentence with the way out."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise Unavailable(f"may not open {tun.DEVICE}: run again with sudo") from error
        if error.errno in (errno.ENOENT, errno.ENODEV):
            raise Unavailable(f"{tun.DEVICE} is missing: {tun.HOW_TO_HAVE_IT}") from error
        raise
