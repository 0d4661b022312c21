"""Where frames go: into receive rings on request, out of transmit rings as the guest sends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import NamedTuple
from zlib import crc32

from harness.errors import BadInput, HarnessError
from harness.host.flows import addresses
from harness.host.vhost_user.device import Device
from harness.host.vhost_user.loop import Loop
from harness.host.vhost_user.memory import OutsideMemory
from harness.host.vhost_user.ring import BrokenRing, Counters, Ring
from harness.host.vhost_user.traffic import put_frames, take_frames

KEPT_FRAMES = 65536
"""The newest frames kept for each transmit ring; the counters count all."""

WAITING_FRAMES = 1000
"""Forwarded frames that may wait for each receive ring: as many as a tap's queue holds."""

_ROUNDS = 4
"""How often a transmit ring is looked at again before messages get their turn, however busy the guest is."""


class RingRefused(HarnessError):
    """A frame was not injected, because the ring is stopped, disabled or broken."""


class Captured(NamedTuple):
    """A frame that the guest sent: arrival in seconds of time.monotonic(), and the frame without header."""

    time: float
    frame: bytes


class DataPath:
    """Counters and captured frames of every ring, over all connections. Call it with the loop's lock held."""

    def __init__(self, rings: int, loop: Loop, on_frame: Callable[[int, Captured], None] | None) -> None:
        self.counters = [Counters() for _ in range(rings)]
        self.captured: list[deque[Captured]] = [deque(maxlen=KEPT_FRAMES) for _ in range(rings)]
        self._loop = loop
        self._waiting = [deque[bytes]() for _ in range(rings)]
        self._on_frame = on_frame

    def inject(self, device: Device, ring: Ring, frames: Sequence[bytes], *, force: bool) -> int:
        """Put frames into a receive ring; see Backend.inject."""
        if ring.transmits:
            raise BadInput(
                f"vring {ring.index} is a transmitq; frames are injected into receiveqs, which are even"
            )
        if not ring.live:
            raise RingRefused(
                f"vring {ring.index} is {ring.broken or 'stopped'}, so nothing can be put into it"
            )
        if not ring.enabled and not force:
            raise RingRefused(f"vring {ring.index} is disabled; a back end may not put frames into it")
        try:
            return put_frames(ring, device.memory, device.header, frames, device.log)
        except (BrokenRing, OutsideMemory) as error:
            _give_up(device, ring, error)
            raise RingRefused(f"vring {ring.index} has {error}") from None

    def forward(self, device: Device, frames: Sequence[bytes]) -> None:
        """Spread frames over the enabled receive rings; see Backend.forward."""
        rings = [ring for ring in device.rings if ring.live and ring.enabled and not ring.transmits]
        if not rings:
            return
        for frame in frames:
            waiting = self._waiting[rings[crc32(addresses(frame)) % len(rings)].index]
            if len(waiting) < WAITING_FRAMES:
                waiting.append(frame)
        for ring in rings:
            self._place(device, ring)

    def _place(self, device: Device, ring: Ring) -> None:
        """Put what waits for a receive ring into it, as far as there is room."""
        waiting = self._waiting[ring.index]
        if not waiting:
            return
        try:
            for _ in range(self.inject(device, ring, list(waiting), force=False)):
                waiting.popleft()
        except RingRefused:
            waiting.clear()

    def serve(self, device: Device, ring: Ring) -> None:
        """Take what a started transmit ring holds: keep it where the ring is enabled, drop it where it is not.

        A receive ring may have room now.
        """
        if not ring.transmits:
            self._place(device, ring)
            return
        try:
            for _ in range(_ROUNDS):
                if not ring.live or not ring.pending():
                    return
                frames: list[bytes] = []
                try:
                    take_frames(ring, device.memory, device.header, device.log, into=frames)
                finally:
                    self._keep(ring, frames)
        except (BrokenRing, OutsideMemory) as error:
            _give_up(device, ring, error)
            return
        self._loop.later(0, partial(self.serve, device, ring))

    def _keep(self, ring: Ring, frames: list[bytes]) -> None:
        if not ring.enabled:
            ring.counters.discarded += len(frames)
            return
        ring.counters.transmitted += len(frames)
        now = monotonic()
        captured = [Captured(now, frame) for frame in frames]
        self.captured[ring.index].extend(captured)
        if self._on_frame:
            for each in captured:
                self._on_frame(ring.index, each)


def _give_up(device: Device, ring: Ring, error: Exception) -> None:
    ring.fail(str(error))
    device.report(f"the guest's vring {ring.index} has {error}")
