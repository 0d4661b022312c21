"""What ethtool prints about a virtio NIC's pairs, read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import GuestError

_QUEUE_COUNTER = re.compile(r"^\s*(rx|tx)(?:_queue_)?(\d+)_(\w+): (\d+)$", re.MULTILINE)
"""`rx_queue_0_packets: 3` up to Linux 6.9, `rx0_packets: 3` from 6.10."""


@dataclass(frozen=True)
class Channels:
    """Pairs as the driver believes ("combined" channels): how many there are, and how many it uses."""

    maximum: int
    current: int


@dataclass(frozen=True)
class QueueCounters:
    """The driver's counters of each queue in use, by name (`packets`, `kicks`, ...); queue i is item i."""

    rx: tuple[Mapping[str, int], ...]
    tx: tuple[Mapping[str, int], ...]


def parse_channels(text: str) -> Channels:
    """Read `ethtool -l`: the maximum comes first, the current setting second."""
    found = re.findall(r"^Combined:\s+(\d+)$", text, re.MULTILINE)
    if len(found) != 2:
        raise GuestError(f"ethtool -l names no combined channels; it said: {text!r}")
    return Channels(maximum=int(found[0]), current=int(found[1]))


def parse_queue_counters(text: str) -> QueueCounters:
    """Read `ethtool -S`, in which the driver lists the queues that it uses, counted from 0, and no others."""
    queues: dict[str, dict[int, dict[str, int]]] = {"rx": {}, "tx": {}}
    for direction, queue, counter, value in _QUEUE_COUNTER.findall(text):
        queues[direction].setdefault(int(queue), {})[counter] = int(value)
    for direction, found in queues.items():
        if not found or sorted(found) != list(range(len(found))):
            listed = f"the {direction} queues {sorted(found)}, and not 0, 1, ..."
            raise GuestError(f"ethtool -S lists {listed}; it said: {text!r}")
    return QueueCounters(
        rx=tuple(counters for _, counters in sorted(queues["rx"].items())),
        tx=tuple(counters for _, counters in sorted(queues["tx"].items())),
    )
