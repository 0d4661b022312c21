"""The instrumented vhost-user-net back end: records every message, moves frames ring by ring, misbehaves on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from harness.deadline import Deadline
from harness.errors import BadInput, HarnessError, VmmError
from harness.host.vhost_user.connection import Connection, Finding
from harness.host.vhost_user.datapath import Captured, DataPath
from harness.host.vhost_user.endpoints import Endpoint
from harness.host.vhost_user.faults import Fault
from harness.host.vhost_user.log import EnableChange, MessageLog
from harness.host.vhost_user.loop import Loop
from harness.host.vhost_user.net_config import NO_MAC, NetConfig
from harness.host.vhost_user.offer import Offer
from harness.host.vhost_user.payloads import RegionDescription
from harness.host.vhost_user.ring import Counters
from harness.record.pairs import Vrings

T = TypeVar("T")


@dataclass(frozen=True)
class RingState:
    """One vring at one moment: its flags, its size in descriptors, its counters over all connections."""

    index: int
    started: bool
    enabled: bool
    size: int
    broken: str | None
    counters: Counters


class Backend:
    """One vhost-user-net back end behind a socket path, served by a thread of its own.

    With `Listen(path)` the VMM connects, with `Connect(path)` the VMM listens; either way a lost connection is
    replaced by the next. Vrings 2p and 2p + 1 are pair p's receiveq and transmitq. Frames are Ethernet frames:
    the virtio-net header is added and taken off here.

    `on_frame(ring, captured)` is called in the back end's thread for each frame sent on an enabled ring; it may
    inject, and must not wait. What the VMM does against the protocol is kept in `findings`, and leaving the
    context raises VmmError for what nobody took from there.
    Raises BadInput if the path cannot serve.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        offer: Offer | None = None,
        *,
        mac: str = NO_MAC,
        faults: Iterable[Fault] = (),
        on_frame: Callable[[int, Captured], None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.offer = offer or Offer()
        self._loop = Loop(f"vhost-user {endpoint.path.name}", lambda: self._connection.close())
        self._data = DataPath(self.offer.rings, self._loop, on_frame)
        self.config = NetConfig(self.offer.pairs, mac)
        """What a VMM is told that asks for the NIC's configuration space."""
        self._connection = Connection(
            endpoint, self.offer, self.config, self._loop, self._data.counters, self._data.serve
        )
        self._connection.faults.extend(faults)
        try:
            self._connection.open()
        except BaseException:
            self._loop.stop()
            raise
        self._loop.start()

    # Connection

    @property
    def connected(self) -> bool:
        """Whether a VMM is connected now."""
        return self._connection.connected

    @property
    def connections(self) -> int:
        """How many connections there have been."""
        return self._connection.count

    def disconnect(self) -> None:
        """Close the connection, as a back end that restarts does; the next is taken at once."""
        with self._loop.changed:
            self._connection.lose("closed by the test")
            self._loop.changed.notify_all()

    def close(self) -> None:
        """End: thread, sockets, memory and descriptors are gone afterwards. May be called twice."""
        self._loop.stop()

    def catch_up(self) -> None:
        """Handle what the VMM has sent up to now: not every VMM waits until its messages are handled."""
        with self._loop.changed:
            self._loop.check()
            self._connection.catch_up()
            self._loop.changed.notify_all()

    # Messages

    @property
    def log(self) -> MessageLog:
        """Everything that was said so far, in order, over all connections."""
        return self._connection.log

    def mark(self) -> int:
        """The present end of the log, for `since`."""
        return self.log.mark()

    def enables(self, since: int = 0) -> list[EnableChange]:
        """Every SET_VRING_ENABLE from a mark on, in order."""
        return self.log.enables(since)

    def switched(self, since: int = 0, *, on: bool) -> frozenset[int]:
        """The vrings that SET_VRING_ENABLE enabled, or disabled, for however short a time, from a mark on."""
        words = f"the VMM {'enabled' if on else 'disabled'}"
        return Vrings((change.ring for change in self.enables(since) if change.on is on), words)

    @property
    def acked_features(self) -> int:
        """The mask of the latest SET_FEATURES."""
        return self._connection.device.features

    @property
    def acked_protocol_features(self) -> int:
        """The mask of the latest SET_PROTOCOL_FEATURES."""
        return self._connection.device.protocol

    @property
    def memory_regions(self) -> tuple[RegionDescription, ...]:
        """What the VMM has shared."""
        with self._loop.changed:
            return self._connection.device.memory.regions

    # Rings

    def rings(self) -> list[RingState]:
        """All vrings, from 0. After a loss: stopped, and enabled as they were last."""
        with self._loop.changed:
            return [
                RingState(r.index, r.started, r.enabled, r.size, r.broken, r.counters.copy())
                for r in self._connection.device.rings
            ]

    def ring(self, index: int) -> RingState:
        """One vring. Raises BadInput if there is none of that index."""
        self._check_index(index)
        return self.rings()[index]

    def enabled_rings(self) -> frozenset[int]:
        """The vrings that are enabled, whether started or not."""
        return Vrings((ring.index for ring in self.rings() if ring.enabled), "enabled in the back end are")

    def started_rings(self) -> frozenset[int]:
        """The vrings that are started, whether enabled or not."""
        return Vrings((ring.index for ring in self.rings() if ring.started), "started in the back end are")

    def enabled_pairs(self) -> int | None:
        """n where exactly vrings 0 to 2n - 1 are enabled; None for any other pattern."""
        enabled = self.enabled_rings()
        whole = not len(enabled) % 2 and enabled == set(range(len(enabled)))
        return len(enabled) // 2 if whole else None

    # Frames

    def inject(self, ring: int, frames: Sequence[bytes], *, force: bool = False) -> int:
        """Put frames into a receive ring until the guest's buffers run out; returns how many were put.

        `force`: even into a disabled ring, which no sound back end does.
        Raises RingRefused for a ring that is stopped, broken, or disabled and not forced; BadInput for a transmit
        ring or a frame that no buffer can hold.
        """
        self._check_index(ring)
        with self._loop.changed:
            self._loop.check()
            device = self._connection.device
            return self._data.inject(device, device.rings[ring], frames, force=force)

    def inject_all(
        self, ring: int, frames: Sequence[bytes], *, within: float | Deadline, force: bool = False
    ) -> None:
        """Put all frames into a receive ring, waiting for the guest to supply buffers.

        Raises as `inject`, and DeadlineExceeded with how many were put.
        """
        done = 0

        def place() -> bool:
            nonlocal done
            while placed := self.inject(ring, frames[done : done + 256], force=force):
                done += placed
            return done == len(frames)

        self._wait(
            f"room for {len(frames)} frames in vring {ring}", place, within, lambda: f"{done} frames put"
        )

    def forward(self, frames: Sequence[bytes]) -> None:
        """Spread frames over the enabled receive rings, each flow staying on one, as back ends in use do.

        Frames for a full ring wait until the guest supplies buffers, WAITING_FRAMES at most; further ones are dropped,
        and all of them where no ring is enabled or once theirs is disabled.
        """
        with self._loop.changed:
            self._loop.check()
            self._data.forward(self._connection.device, frames)

    def captured(self, ring: int) -> list[Captured]:
        """The frames that the guest sent on a transmit ring while it was enabled, oldest first (see KEPT_FRAMES)."""
        self._check_index(ring)
        with self._loop.changed:
            return list(self._data.captured[ring])

    def take_captured(self) -> list[Captured]:
        """The frames captured on all rings, oldest first, which are then forgotten."""
        with self._loop.changed:
            taken = [frame for frames in self._data.captured for frame in frames]
            self.clear_captured()
            return sorted(taken, key=lambda each: each.time)

    def clear_captured(self) -> None:
        """Forget all captured frames; the counters go on."""
        with self._loop.changed:
            for frames in self._data.captured:
                frames.clear()

    # Faults

    def arm(self, fault: Fault) -> None:
        """Let a fault strike from now on."""
        with self._loop.changed:
            self._connection.faults.append(fault)

    def disarm(self, fault: Fault) -> None:
        """Let a fault strike no more."""
        with self._loop.changed:
            self._connection.faults.remove(fault)

    # Waiting and judging

    def wait(self, reason: str, predicate: Callable[[Backend], T], *, within: float | Deadline) -> T:
        """Wait until `predicate(self)` answers something true, and return that.

        `reason` completes "waited 2.0 s for ...". `within` is seconds (scaled by PACE) or a shared Deadline.
        Raises DeadlineExceeded with the back end's state.
        """
        return self._wait(reason, lambda: predicate(self), within, self.describe)

    def wait_connected(self, *, within: float | Deadline) -> None:
        """Wait for a VMM to be connected."""
        self.wait(f"a vhost-user connection on {self.endpoint.path}", lambda b: b.connected, within=within)

    def wait_pairs(self, pairs: int, *, within: float | Deadline) -> None:
        """Wait until exactly the first `pairs` pairs are enabled."""
        self.wait(f"{pairs} enabled pairs", lambda b: b.enabled_pairs() == pairs, within=within)

    @property
    def findings(self) -> list[Finding]:
        """What the VMM or the guest did against the protocol, and nobody has taken yet."""
        with self._loop.changed:
            return list(self._connection.findings)

    def take_findings(self) -> list[Finding]:
        """The findings so far, which then no longer count."""
        with self._loop.changed:
            taken = self._connection.findings[:]
            self._connection.findings.clear()
            return taken

    @property
    def unanswered(self) -> str:
        """The first message that may have left the VMM waiting for an answer, as a clause; empty if none did."""
        return self._connection.unanswered

    @property
    def failure(self) -> str:
        """What ended its thread before its time; empty if nothing did."""
        return self._loop.failure or ""

    def check(self) -> None:
        """Raise VmmError for findings, HarnessError if the back end itself failed."""
        if self._loop.failure:
            raise HarnessError(f"the vhost-user back end failed: {self._loop.failure}")
        if found := self.findings:
            raise VmmError("; ".join(each.text for each in found))

    def describe(self) -> str:
        """One line on the present state, for messages to people."""
        with self._loop.changed:
            state = "connected" if self.connected else f"not connected ({self.endpoint.last_attempt})"
            last = self.log.entries()[-1:]
            words = [
                f"{state}, {self.connections} connection(s) so far",
                f"enabled vrings {sorted(self.enabled_rings())}",
                f"started vrings {sorted(self.started_rings())}",
                f"last message {last[0] if last else 'none'}",
                *(f"finding: {each.text}" for each in self.findings),
            ]
            return "; ".join(words)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if kind is None:
            self.check()

    # Inside

    def _wait(
        self, reason: str, probe: Callable[[], T], within: float | Deadline, last: Callable[[], object]
    ) -> T:
        return self._loop.wait(reason, probe, within, last)

    def _check_index(self, ring: int) -> None:
        if not 0 <= ring < self.offer.rings:
            raise BadInput(f"there is no vring {ring}: the back end has {self.offer.rings}")
