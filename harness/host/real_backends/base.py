"""A back end in a process of its own behind a recording proxy, which tells what the VMM said of each vring."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from harness.deadline import wait_until
from harness.errors import BadInput, HarnessError, Owner
from harness.host.backend import HostView, Place
from harness.host.changes import Change
from harness.host.vhost_user.endpoints import Connect, Endpoint, Listen
from harness.host.vhost_user.log import Entry, Event, Sender
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.proxy import Proxy
from harness.host.vhost_user_changes import Follower
from harness.process.child import VmmProcess
from harness.process.last_words import own_words
from harness.vmm.base import VhostUserSocket

READY_WITHIN = 10.0
CONNECTED_WITHIN = 10.0


class RealBackend(ABC):
    """A NIC's network backend whose vhost-user part is a program.

    Raises HarnessError if it does not get ready, BadInput for a folder in which it was before.
    """

    kind = "vhost-user"
    away = False
    name: str
    vmm_listens = False
    """Whether the VMM is the vhost-user server, and the program the client."""

    def __init__(self, folder: Path, pairs: int) -> None:
        self.pairs = pairs
        self.folder = folder
        self.socket = folder / "back-end"
        self.attachment = VhostUserSocket(folder / "vhost-user", self.vmm_listens)
        if self.socket.exists():  # it would pass for this program's
            raise BadInput(f"{self.socket} exists already: {self.name} needs a folder of its own")
        with ExitStack() as undo:
            self._prepare(undo)
            if self.vmm_listens:
                self._stand_between(undo)
            self.process = VmmProcess(self._words(folder), folder / "log")
            undo.callback(self.process.stop)
            self._await_ready(undo)
            if not self.vmm_listens:
                self._stand_between(undo)
            self._undo = undo.pop_all()

    def _stand_between(self, undo: ExitStack) -> None:
        """Whoever connects first must find the proxy there."""
        self.proxy = Proxy(*self._endpoints())
        self._follower = Follower(self.proxy.log)
        undo.callback(self.proxy.close)

    def _endpoints(self) -> tuple[Endpoint, Endpoint]:
        """How the VMM and the program are reached."""
        return Listen(self.attachment.path), Connect(self.socket)

    @abstractmethod
    def _words(self, folder: Path) -> Sequence[str]:
        """The program and its arguments; `folder` is for its files."""

    def _prepare(self, undo: ExitStack) -> None:
        """Make what the program needs beside its socket."""
        return

    def _await_ready(self, undo: ExitStack) -> None:
        """Wait until the program serves."""

        def ready() -> bool:
            self._check_alive()
            return self.socket.exists()

        wait_until(
            f"{self.name} to open its socket",
            ready,
            owed_by=Owner.HOST,
            within=READY_WITHIN,
            last=self.process.tail,
        )

    def _check_alive(self) -> None:
        if (status := self.process.exit_status()) is not None:
            words = self.process.tail(3) or "(none)"
            raise HarnessError(f"{self.name} ended ({status}) before it was ready; its last words: {words}")

    def adopt(self) -> None:
        """Wait for VMM and back end to be connected."""
        self.proxy.wait("VMM and back end to be connected", lambda p: p.connected, within=CONNECTED_WITHIN)

    def view(self, pid: int) -> HostView:
        """The pairs of which both vrings were last started and enabled; `count` is of those with any."""
        self.proxy.catch_up()
        passing, started = _states(self.proxy.log)
        whole = frozenset(ring // 2 for ring in passing if ring ^ 1 in passing)
        return HostView(len({ring // 2 for ring in passing}), whole, len({ring // 2 for ring in started}))

    def changes(self) -> list[Change]:
        """Which vrings were enabled and disabled since the last call, and connections. Repetitions are left out."""
        self.proxy.catch_up()
        return self._follower.changes()

    def messages(self) -> list[Entry]:
        """Every message and event, oldest first."""
        return list(self.proxy.log)

    @abstractmethod
    def sibling(self, place: Place, pairs: int) -> Self:
        """Another process of the same program."""

    def failure(self) -> str:
        """How the program ended before its time, or the proxy's thread; empty if neither did."""
        if (status := self.process.ended_unasked()) is not None:
            words = own_words(self.process.output()) or self.process.tail(1) or "(none)"
            return f"{self.name} ended ({status}) amid the test; its last words: {words}"
        return f"the vhost-user proxy failed: {why}" if (why := self.proxy.failure) else ""

    def close(self) -> None:
        """Stop the program and the proxy. Raises HarnessError if the proxy failed."""
        self._undo.close()
        self.proxy.check()


def _states(entries: Iterable[Entry]) -> tuple[set[int], set[int]]:
    """Which vrings pass packets, and which are started, once all that the VMM said has taken effect."""
    enabled, started = set[int](), set[int]()
    for entry in entries:
        if isinstance(entry.kind, Event):
            enabled.clear()
            started.clear()
        elif entry.sender is Sender.VMM and entry.ring is not None:
            match entry.kind:
                case Kind.SET_VRING_ENABLE:
                    (enabled.add if entry.value else enabled.discard)(entry.ring)
                case Kind.SET_VRING_KICK:
                    started.add(entry.ring)
                case Kind.GET_VRING_BASE:
                    started.discard(entry.ring)
    return enabled & started, started
