"""What changed on the host's side of a NIC, as data: a timeline puts it in words, a test compares it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.host.vhost_user.log import Event


@dataclass(frozen=True)
class QueueCounts:
    """A tap's queues after a change, attached and detached."""

    attached: int
    detached: int


@dataclass(frozen=True)
class VringsSwitched:
    """Vrings that were enabled (`on`) or disabled one after the other, in this order."""

    vrings: tuple[int, ...]
    on: bool


@dataclass(frozen=True)
class ConnectionChanged:
    """A vhost-user connection came or went; `how` it was lost, if so."""

    event: Event
    how: str = ""


Change = QueueCounts | VringsSwitched | ConnectionChanged
