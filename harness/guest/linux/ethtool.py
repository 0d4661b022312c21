"""What ethtool, or queue-stats in its words, prints about a virtio NIC's pairs, read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import GuestError

_PACKETS = re.compile(r"^[ \t]*(rx|tx)(?:_queue_)?(\d{1,5})_packets: (\d{1,20})$", re.MULTILINE)
"""`rx_queue_0_packets: 3` by ethtool -S up to Linux 6.9, `rx0_packets: 3` by queue-stats."""

DOWN = "the interface is down"
"""queue-stats says so."""


@dataclass(frozen=True)
class Channels:
    """Pairs as the driver believes ("combined" channels): how many there are, and how many it uses."""

    maximum: int
    current: int


def parse_channels(text: str) -> Channels:
    """Read `ethtool -l`: the maximum comes first, the current setting second."""
    found = re.findall(r"^Combined:[ \t]+(\d{1,9})$", text, re.MULTILINE)
    if len(found) != 2:
        raise GuestError(f"ethtool -l names no combined channels; it said: {text!r}")
    return Channels(maximum=int(found[0]), current=int(found[1]))


def parse_packets(text: str, direction: str) -> tuple[int, ...]:
    """Packets of each queue in use by `ethtool -S` or queue-stats; item i is queue i. `direction` is rx or tx.

    queue-stats tells of none while the interface is down.
    Raises GuestError unless they are told for the queues 0, 1, ... without a gap.
    """
    queues = {int(queue): int(count) for side, queue, count in _PACKETS.findall(text) if side == direction}
    if DOWN in text:
        return ()
    if not queues:
        raise GuestError(
            f"this guest tells no {direction} packets by queue: from Linux 6.10 on its image needs queue-stats "
            f"(fixtures/images/linux); it said: {text!r}"
        )
    if sorted(queues) != list(range(len(queues))):
        raise GuestError(
            f"packets are told of the {direction} queues {sorted(queues)}, and not 0, 1, ...: {text!r}"
        )
    return tuple(count for _, count in sorted(queues.items()))
