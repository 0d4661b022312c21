"""The vrings of one connection: described, started, enabled, stopped (vhost-user protocol, "Ring states")."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.host.vhost_user.loop import EDGE, READABLE, Loop
from harness.host.vhost_user.memory import MemoryMap, OutsideMemory
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.payloads import Malformed, VringAddress, VringFile, VringState
from harness.host.vhost_user.ring import MAX_SIZE, Counters, Ring
from harness.host.vhost_user.wire import Message


class Vrings:
    """All vrings, and what the messages about one of them do.

    `kicked` is called whenever a ring may hold something new; `report` with what the VMM did wrong and was let
    through. Methods named after messages raise Malformed, and OutsideMemory for a ring that is not in memory.
    """

    def __init__(
        self,
        counters: Sequence[Counters],
        loop: Loop,
        kicked: Callable[[Ring], None],
        report: Callable[[str], None],
        *,
        resume_at_used: bool,
    ) -> None:
        self._rings = [Ring(index, each) for index, each in enumerate(counters)]
        self._memory = MemoryMap()
        self._loop = loop
        self._kicked = kicked
        self._report = report
        self._resume_at_used = resume_at_used

    def __len__(self) -> int:
        return len(self._rings)

    def __getitem__(self, index: int) -> Ring:
        return self._rings[index]

    def __iter__(self) -> Iterator[Ring]:
        return iter(self._rings)

    def release(self) -> None:
        """Let go of the memory, so that it can change; `place` must follow."""
        for ring in self._rings:
            ring.unmap()

    def place(self, memory: MemoryMap) -> None:
        """Find the started rings in the memory as it is now."""
        self._memory = memory
        for ring in self._rings:
            if ring.started:
                self._map(ring)

    def _map(self, ring: Ring) -> None:
        """Map a started ring anew. One that is no longer inside memory is served no more, and reported."""
        try:
            ring.map(self._memory)
        except OutsideMemory as error:
            ring.fail(str(error))
            self._report(f"the VMM left the started vring {ring.index} at {error}")

    def set_num(self, message: Message, payload: VringState) -> None:
        """SET_VRING_NUM: the number of descriptors."""
        size = payload.num
        if not 0 < size <= MAX_SIZE or size & (size - 1):
            raise Malformed(f"SET_VRING_NUM of {size}, which is no power of two up to {MAX_SIZE}")
        ring = self._rings[payload.index]
        ring.size, ring.described = size, ring.address is not None

    def set_addr(self, message: Message, payload: VringAddress) -> None:
        """SET_VRING_ADDR: also for a ring that runs, as at the start and the end of a migration."""
        ring = self._rings[payload.index]
        ring.address, ring.described = payload, ring.size > 0
        if ring.started:
            self._map(ring)

    def set_base(self, message: Message, payload: VringState) -> None:
        """SET_VRING_BASE: the next available entry."""
        self._rings[payload.index].next = payload.num & 0xFFFF

    def get_base(self, message: Message, payload: VringState) -> VringState:
        """GET_VRING_BASE: stops the ring; it stays enabled if it was."""
        ring = self._rings[payload.index]
        self.stop(ring)
        return VringState(ring.index, ring.next)

    def set_kick(self, message: Message, payload: VringFile) -> None:
        """SET_VRING_KICK: starts the ring.

        The protocol starts it on the first notification; back ends in use start it on this message, and so does
        this one: after a reconnection no notification may ever come for buffers that wait already. A ring that is
        not described yet, as where a front end names this descriptor first, starts once it is enabled or notified.
        """
        ring = self._rings[payload.index]
        if payload.absent:
            raise Malformed(
                f"SET_VRING_KICK for vring {ring.index} without a descriptor, which asks for polling"
            )
        _require_eventfd(message, Kind.SET_VRING_KICK)
        if ring.described:
            self._start(ring)
        if ring.kick is not None:
            self._loop.unwatch(ring.kick)
            os.close(ring.kick)
        ring.kick = message.take_fd()
        # Edge-triggered and never read, so that nothing can block on a descriptor that is shared with the VMM.
        self._loop.watch(ring.kick, lambda _: self._on_kick(ring), READABLE | EDGE)
        self._kicked(ring)

    def _start(self, ring: Ring) -> None:
        ring.map(self._memory)
        if self._resume_at_used:
            ring.next = ring.used
        ring.started = True

    def _start_late(self, ring: Ring) -> None:
        """Start a ring whose descriptor came before its description."""
        if ring.kick is None or ring.started or ring.broken or not ring.described:
            return
        try:
            self._start(ring)
        except OutsideMemory as error:
            self._report(f"the VMM wants vring {ring.index} served: {error}")

    def _on_kick(self, ring: Ring) -> None:
        ring.counters.kicks += 1
        self._start_late(ring)
        self._kicked(ring)

    def set_call(self, message: Message, payload: VringFile) -> None:
        """SET_VRING_CALL: where to interrupt the guest."""
        ring = self._rings[payload.index]
        new = _optional_eventfd(message, payload, Kind.SET_VRING_CALL)
        if ring.call is not None:
            os.close(ring.call)
        ring.call = new

    def set_err(self, message: Message, payload: VringFile) -> None:
        """SET_VRING_ERR: where to complain of a broken ring."""
        ring = self._rings[payload.index]
        new = _optional_eventfd(message, payload, Kind.SET_VRING_ERR)
        if ring.err is not None:
            os.close(ring.err)
        ring.err = new

    def set_enable(self, message: Message, payload: VringState) -> None:
        """SET_VRING_ENABLE."""
        if payload.num not in (0, 1):
            raise Malformed(
                f"SET_VRING_ENABLE of {payload.num} for vring {payload.index}, which is neither 0 nor 1"
            )
        self.enable(self._rings[payload.index], payload.num == 1)

    def enable(self, ring: Ring, on: bool) -> None:
        """Enable or disable a ring, whether it is started or not."""
        ring.enabled = on
        if on:
            self._start_late(ring)
        self._kicked(ring)

    def stop(self, ring: Ring) -> None:
        """Stop a ring and close its descriptors."""
        if ring.kick is not None:
            self._loop.unwatch(ring.kick)
        ring.close()


def _require_eventfd(message: Message, kind: Kind) -> None:
    """Anything else could block this thread when it is written to."""
    if len(message.fds) != 1:
        raise Malformed(f"{kind.name} with {len(message.fds)} file descriptors where one belongs")
    if str(Path(f"/proc/self/fd/{message.fds[0]}").readlink()) != "anon_inode:[eventfd]":
        raise Malformed(f"{kind.name} with a file descriptor that is no eventfd")


def _optional_eventfd(message: Message, payload: VringFile, kind: Kind) -> int | None:
    if payload.absent:
        return None
    _require_eventfd(message, kind)
    return message.take_fd()
