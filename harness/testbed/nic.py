"""The NIC under test as a test sees it: one contract over any driver, network backend and VMM."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Generic, assert_never

from typing_extensions import TypeVar

from harness.deadline import wait_until
from harness.errors import BadInput, DeadlineExceeded, Owner
from harness.guest.answer import Ack, Answer
from harness.guest.driver import GuestDriver, Ledger
from harness.guest.linux.driver import LinuxDriver
from harness.guest.probe.driver import ProbeDriver
from harness.host.backend import FramePort, HostView, NetworkBackend
from harness.host.changes import Change, ConnectionChanged, QueueCounts, VringsSwitched
from harness.host.flood import Flood
from harness.host.flows import UNCOUNTED, Flow, addresses, identified
from harness.mac import mac_bytes
from harness.record.journal import Journal
from harness.record.landed import Landed
from harness.record.results import PairRow
from harness.vmm.base import NicConfig, Vm

KEPT_BATCHES = 16
OUT_PATIENCE = 2.0
"""Seconds in which a frame whose buffer came back to the guest shows up on the host."""


@dataclass(frozen=True, repr=False)
class Witnesses:
    """What three independent witnesses say of the active pairs. `frames` is None until frames were sent."""

    guest: frozenset[int]
    host: HostView
    frames: frozenset[int] | None = None

    @property
    def agree(self) -> bool:
        """Whether guest and host name the same pairs, and no frame landed outside them."""
        return (
            self.host.consistent
            and self.guest == self.host.pairs
            and (self.frames is None or self.frames <= self.guest)
        )

    def name(self, pairs: frozenset[int]) -> bool:
        """Whether each of them names exactly these pairs."""
        return self.host.consistent and self.guest == self.host.pairs == self.frames == pairs

    def __str__(self) -> str:
        return ", ".join(
            map(repr, [self.guest, self.host, *([self.frames] if self.frames is not None else [])])
        )

    __repr__ = __str__  # pytest shows it in failed assertions


Driver_co = TypeVar("Driver_co", bound=GuestDriver, covariant=True, default=GuestDriver)
Backend_co = TypeVar("Backend_co", bound=NetworkBackend, covariant=True, default=NetworkBackend)


class Nic(Generic[Driver_co, Backend_co]):
    """A NIC with its driver inside and its backend outside. `Nic` alone is one with any driver, on any backend.

    Every step is entered in the journal, so that a failure can show what the witnesses saw and when.
    """

    def __init__(
        self, vm: Vm, config: NicConfig, driver: Driver_co, backend: Backend_co, journal: Journal
    ) -> None:
        self.vm = vm
        self.config = config
        self.driver = driver
        self.backend = backend
        self._journal = journal
        self._ledger = Ledger()
        self.sent: deque[tuple[float, list[bytes]]] = deque(maxlen=KEPT_BATCHES)
        """The last batches of frames sent to the guest, with the wall clock's time, for a packet capture."""
        self._landed: Landed | None = None
        self._landed_under: frozenset[int] | None = None

    @property
    def max_pairs(self) -> int:
        """The pairs that the NIC was configured with."""
        return self.config.pairs

    @property
    def wire(self) -> FramePort:
        """Where frames are put in and taken out. Raises BadInput where the network backend has no way for them."""
        if not isinstance(self.backend, FramePort):
            raise BadInput(
                f"{type(self.backend).__name__} carries no frames of the suite's: use another network backend, "
                "or let the guest transmit"
            )
        return self.backend

    def start(self) -> None:
        """Let the driver start the device, without a VQ_PAIRS_SET."""
        self.driver.start()
        self._journal.add("guest", "the driver started the device", pairs=len(self.driver.believed_pairs))
        self._note_host()

    def set_pairs(self, pairs: int) -> Answer:
        """Ask for this many active pairs through the driver; what the device answered, if it did."""
        self._journal.add("guest", f"asks for {pairs} pair{'s' * (pairs != 1)}")
        answer = self.driver.set_pairs(pairs)
        told = f"is told {answer.told}: {len(self.driver.believed_pairs)} active"
        self._journal.add("guest", told, pairs=pairs if answer.ack is Ack.OK else None)
        self._note_host()
        return answer

    def reset(self) -> None:
        """Reset the device and let the driver start it anew, without a VQ_PAIRS_SET."""
        self.driver.reset()
        told = "reset the device and started it anew"
        self._journal.add("guest", told, pairs=len(self.driver.believed_pairs))
        self._note_host()

    def send(self, flows: Sequence[Flow]) -> None:
        """Send a frame of each flow to the guest and leave them to their fate: they are given up at once."""
        self.wire.inject(self._frames(flows, 1))
        self._journal.add("frames", f"{len(flows)} frames sent, not accounted for")

    def receive(
        self, flows: Sequence[Flow], copies: int = 1, *, meanwhile: Callable[[], None] | None = None
    ) -> Landed:
        """Send `copies` frames of each flow to the guest, in turns, and account for every one.

        `meanwhile` is called when frames were sent and the driver has not yet looked for them: once for each batch
        that it sends (ProbeDriver: 512 frames).
        """

        def inject(frames: Sequence[bytes]) -> None:
            self.wire.inject(frames)
            if meanwhile is not None:
                meanwhile()

        landed = self.driver.receive(inject, self._frames(flows, copies), self._ledger)
        self._landed, self._landed_under = landed, self.driver.believed_pairs
        self._journal.landed(landed)
        return landed

    def _frames(self, flows: Sequence[Flow], copies: int) -> list[bytes]:
        destination = mac_bytes(self.config.mac)
        identities = self._ledger.open(len(flows) * copies)
        frames = [flows[i % len(flows)].frame(destination, identity) for i, identity in enumerate(identities)]
        self.sent.append((time.time(), frames))
        return frames

    @contextmanager
    def flooded(self, flows: Sequence[Flow]) -> Iterator[None]:
        """Send frames of these flows without pause while the block runs. They are not accounted for one by one."""
        destination = mac_bytes(self.config.mac)
        frames = [flow.frame(destination, UNCOUNTED) for flow in flows]
        with Flood(self.wire.inject, frames):
            yield

    def transmit(self, pair: int, flows: Sequence[Flow]) -> Landed:
        """Let the guest send a frame of each flow on one pair, and account for what came out on the host.

        `by_pair` counts them under that pair: the wire does not tell where a frame came from.
        """
        identities = self._ledger.open(len(flows))
        source = mac_bytes(self.config.mac)
        frames = [flow.reply(source, identity) for flow, identity in zip(flows, identities, strict=True)]
        self.wire.capture()
        returned = self.driver.transmit(pair, frames)
        self._take(pair, dict(zip(map(addresses, frames), identities, strict=True)))
        landed = self._ledger.landed()
        self._journal.add("guest", f"sent {len(frames)} frames on pair {pair}: {returned} buffers came back")
        self._journal.landed(landed)
        return replace(landed, returned=returned)

    def _take(self, pair: int, sent: Mapping[bytes, int]) -> None:
        """Enter the frames that come out on the host, until all have, or the host's kernel had time enough."""

        def all_out() -> bool:
            for identity in identified(self.wire.capture(), sent):
                self._ledger.arrived(pair, identity)
            return not self._ledger.missing

        with suppress(DeadlineExceeded):
            wait_until("the guest's frames on the host", all_out, owed_by=Owner.VMM, within=OUT_PATIENCE)

    def host(self) -> HostView:
        """The host's witness, now."""
        return self.backend.view(self.vm.pid)

    def witnesses(self) -> Witnesses:
        """All three witnesses; the frames are those of the last `receive`, if the count is still the same."""
        landed = self._current_landed()
        return Witnesses(self.driver.believed_pairs, self.host(), landed.pairs if landed else None)

    def _current_landed(self) -> Landed | None:
        return self._landed if self._landed_under == self.driver.believed_pairs else None

    def rows(self) -> list[PairRow]:
        """The table of pairs for a failure message: what each witness says of each pair."""
        guest = self.driver.believed_pairs
        host = self.host().pairs if self.vm.exit_status() is None else None
        landed = self._current_landed()
        counts = landed.by_pair if landed else None
        return [
            PairRow(
                pair,
                pair in guest,
                None if host is None else pair in host,
                None if counts is None else counts.get(pair, 0),
            )
            for pair in range(self.max_pairs)
        ]

    def _note_host(self) -> None:
        for change in self.backend.changes():
            self._journal.add("netlink", f"{self.backend.kind}: {_in_words(change)}")
        view = self.host()
        self._journal.add(
            "host", f"active pairs: {sorted(view.pairs)} of {view.total}", pairs=int(view.count)
        )


ProbeNic = Nic[ProbeDriver, Backend_co]
LinuxNic = Nic[LinuxDriver]


def _in_words(change: Change) -> str:
    match change:
        case QueueCounts(attached, detached):
            return f"{attached} attached, {detached} detached"
        case VringsSwitched(vrings, on):
            return f"vrings {' '.join(map(str, vrings))} {'enabled' if on else 'disabled'}"
        case ConnectionChanged(event, how):
            return f"{event.value}: {how}" if how else event.value
    assert_never(change)
