"""Frames that the guest sends on a transmit queue of the test's choice, by the kernel's packet generator.

Linux Documentation/networking/pktgen.rst. It hands frames to the driver directly: no routing table,
address or queueing discipline has a say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

PROC = "/proc/net/pktgen"

_DONE = "Result: OK: .* usec"
"""Before it is started, a device's result is that of the last setting, which is OK, too."""

AT_ONCE = 16
"""Datagrams that one start sends: each takes 2 MB of the guest's memory while it lasts."""

# The queue is the CPU's number; queue_map_min is no use, for pktgen starts below it and counts up.
_SET_UP = """set_up() {{ # NUMBER MAC SOURCE PORT DESTINATION PORT
    echo add_device {interface}@$1 > {thread}
    for setting in "count {frames}" "pkt_size 60" "dst_mac $2" "flag QUEUE_MAP_CPU" \\
        "src_min $3" "src_max $3" "udp_src_min $4" "udp_src_max $4" \\
        "dst_min $5" "dst_max $5" "udp_dst_min $6" "udp_dst_max $6"; do
        echo "$setting" > {proc}/{interface}@$1
    done
}}"""


@dataclass(frozen=True)
class Datagram:
    """The headers of UDP frames to send."""

    destination_mac: str
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int


def commands(interface: str, datagrams: Sequence[Datagram], queue: int, frames: int) -> str:
    """Shell commands that send `frames` equal frames of each datagram on transmit queue `queue`, and wait for it.

    The generator is done once the last buffer came back, and says so in a line for each datagram, which is printed;
    see `sent`. The CPU whose number is the queue's must be online, and the queue in use. Each datagram is a
    generator device of its own, so that one start sends them all: it takes 0.4 s.
    """
    thread = f"{PROC}/kpktgend_{queue}"
    set_up = _SET_UP.format(thread=thread, proc=PROC, interface=interface, frames=frames)
    return "\n".join(
        [
            "set -e",
            f"[ -d {PROC} ] || insmod /lib/modules/pktgen.ko",
            f"echo rem_device_all > {thread}",
            set_up,
            *(f"set_up {number} {_words(datagram)}" for number, datagram in enumerate(datagrams)),
            f"echo start > {PROC}/pgctrl",
            # on a busy machine the start returns before its thread has begun
            f"until [ $(cat {PROC}/{interface}@* | grep -c '{_DONE}') = {len(datagrams)} ]; do usleep 10000; done",
            f"grep -h Result {PROC}/{interface}@*",
            f"echo rem_device_all > {thread}",
        ]
    )


def sent(said: str, frames: int) -> int:
    """Of how many datagrams the commands said that `frames` frames went out."""
    return len(re.findall(rf"{_DONE}, {frames} ", said))


def _words(datagram: Datagram) -> str:
    return (
        f"{datagram.destination_mac} {datagram.source} {datagram.source_port}"
        f" {datagram.destination} {datagram.destination_port}"
    )
