"""The instrumented vhost-user back end as network backend, and its witnesses: what the VMM told it of each vring."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from harness.host.backend import HostView, Place
from harness.host.changes import Change
from harness.host.vhost_user.backend import Backend, RingState
from harness.host.vhost_user.endpoints import Connect, Endpoint, Listen
from harness.host.vhost_user.faults import Fault
from harness.host.vhost_user.log import Entry
from harness.host.vhost_user.loop import LoopFailed
from harness.host.vhost_user.net_config import NO_MAC
from harness.host.vhost_user.offer import Offer, usual_offer
from harness.host.vhost_user.proxy import Proxy
from harness.host.vhost_user.rules import Rules, unaltered
from harness.host.vhost_user_changes import Follower
from harness.vmm.base import VhostUserSocket

CONNECTED_WITHIN = 5.0
"""Seconds in which a VMM connects once it runs, and again once the back end is back."""
SILENCE = 0.05
"""Seconds without a message after which a VMM has said what it had to say."""


class VhostUser:
    """A back end of `offer` behind sockets in `folder`, for one NIC of `pairs` pairs.

    `server`: the VMM listens, and the back end connects to it. `rules` alter what the VMM says on its way here.
    A pair is active when both of its vrings are started and enabled, for then packets pass.
    """

    kind = "vhost-user"

    def __init__(
        self,
        folder: Path,
        pairs: int,
        offer: Offer | None = None,
        *,
        server: bool = False,
        rules: Rules = unaltered,
    ) -> None:
        at_vmm, here = folder / "vhost-user", folder / "behind-proxy"
        altered = rules(pairs)
        self.pairs = pairs
        self.attachment = VhostUserSocket(at_vmm, server)
        self.offer = offer or usual_offer(pairs)
        self._rules = rules
        self._mac = NO_MAC
        self._left_waiting = ""
        self.proxy: Proxy | None = None
        self._said: list[Entry] = []
        self._started = frozenset[int]()
        """The vrings that were started when the back end was stopped last."""
        self._endpoint = Listen(here) if altered else _our_end(at_vmm, server)
        with ExitStack() as undo:
            self.start()
            undo.callback(lambda: self.end.close())
            if altered:
                self.proxy = Proxy(_our_end(at_vmm, server), Connect(here), altered)
                undo.callback(self.proxy.close)
            self._undo = undo.pop_all()

    def start(self, *faults: Fault) -> None:
        """Start the back end, anew if it was there before: it knows nothing of its predecessor."""
        self.end = Backend(self._endpoint, self.offer, mac=self._mac, faults=faults)
        self.away = False
        self._follower = Follower(self.end.log)

    def stop(self) -> None:
        """End the back end, its socket too; `start` may follow. Raises VmmError for findings, as `close` does."""
        self.away = True
        self._said += self.end.log
        self._left_waiting = self.unanswered()
        self._started = self.end.started_rings() or self._started
        self.end.close()
        self.end.check()

    def restart(self) -> None:
        """End the back end, start it anew, and wait until the VMM has told it everything."""
        self.stop()
        self.start()
        self.await_set_up(1)

    def await_set_up(self, pairs: int) -> None:
        """Wait until at least the first `pairs` pairs pass packets and the VMM has been silent for a moment.

        All vrings are started that were before the last `stop`: a VMM on a busy host may fall silent halfway.
        """
        first = set(range(2 * pairs))

        def set_up(end: Backend) -> bool:
            passing = {ring.index for ring in end.rings() if _passes(ring)}
            whole = first <= passing and self._started <= end.started_rings()
            return whole and time.monotonic() - end.log.entries()[-1].time > SILENCE

        self.end.wait(f"{pairs} pairs to be set up", set_up, within=CONNECTED_WITHIN)

    def set_mac(self, mac: str) -> None:
        """Be the back end of the NIC with this address: not every VMM tells its guest by itself."""
        self._mac = self.end.config.mac = mac

    def adopt(self) -> None:
        """Wait for the VMM to be connected. Raises DeadlineExceeded."""
        self.end.wait_connected(within=CONNECTED_WITHIN)

    def catch_up(self) -> None:
        """Let everything take effect that the VMM has said up to now, if the back end is there to hear it."""
        with suppress(LoopFailed):
            if self.proxy is not None:
                self.proxy.catch_up()
            self.end.catch_up()

    # Witnesses

    def view(self, pid: int) -> HostView:
        """The pairs of which both vrings pass packets; `count` is of those of which any does."""
        self.catch_up()
        rings = self.end.rings()
        started = {ring.index for ring in rings if ring.started}
        passing = {ring.index for ring in rings if _passes(ring)}
        whole = frozenset(ring // 2 for ring in passing if ring ^ 1 in passing)
        return HostView(len(_pairs(passing)), whole, len(_pairs(started)))

    def changes(self) -> list[Change]:
        """Which vrings were enabled and disabled since the last call, and connections. Repetitions are left out."""
        self.catch_up()
        return self._follower.changes()

    def messages(self) -> list[Entry]:
        """Every message and event, oldest first, of all back ends that were started here."""
        return [*self._said, *self.end.log]

    # Frames

    def inject(self, frames: Sequence[bytes]) -> None:
        """Spread frames by flow over the receive rings that the VMM has enabled up to now.

        Without a back end they are lost; one that failed by itself says so when it is stopped.
        """
        self.catch_up()
        with suppress(LoopFailed):
            self.end.forward(frames)

    def capture(self) -> list[bytes]:
        """What the guest sent on enabled rings since the last call."""
        return [captured.frame for captured in self.end.take_captured()]

    def sibling(self, place: Place, pairs: int) -> Self:
        """Another back end that offers the same, reached in the same way, its messages altered in the same way."""
        offer = self.offer if pairs == self.pairs else replace(self.offer, pairs=pairs)
        return type(self)(place.folder, pairs, offer, server=self.attachment.server, rules=self._rules)

    def unanswered(self) -> str:
        """The first message that may have left the VMM waiting for an answer, as a clause; empty if none did."""
        return self._left_waiting or self.end.unanswered

    def failure(self) -> str:
        """What ended the back end's thread or the proxy's before its time; empty if nothing did."""
        if why := self.end.failure:
            return f"the vhost-user back end failed: {why}"
        if self.proxy is not None and (why := self.proxy.failure):
            return f"the vhost-user proxy failed: {why}"
        return ""

    def close(self) -> None:
        """End. Raises VmmError for what the VMM did against the protocol, unless somebody took the findings."""
        self._undo.close()
        self.end.check()


def _our_end(path: Path, vmm_listens: bool) -> Endpoint:
    return Connect(path) if vmm_listens else Listen(path)


def _passes(ring: RingState) -> bool:
    return ring.started and ring.enabled and ring.broken is None


def _pairs(rings: Iterable[int]) -> set[int]:
    return {ring // 2 for ring in rings}
