"""Frames that the guest sends on a transmit queue of the test's choice, by the kernel's packet generator.

Linux Documentation/networking/pktgen.rst. It hands frames to the driver directly: no routing table,
address or queueing discipline has a say.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from ipaddress import IPv4Address

PROC = "/proc/net/pktgen"


@dataclass(frozen=True)
class Datagram:
    """The headers of UDP frames to send."""

    destination_mac: str
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int


def commands(interface: str, datagram: Datagram, queue: int, frames: int) -> str:
    """Shell commands that send `frames` equal frames on transmit queue `queue`; they end when the last is sent.

    They print pktgen's verdict, which begins with "Result: OK" if all went out. The CPU whose number is the
    queue's must be online, and the queue in use.
    """
    device = f"{PROC}/{interface}@{queue}"
    thread = f"{PROC}/kpktgend_{queue}"
    settings = [
        f"count {frames}",
        "pkt_size 60",
        f"dst_mac {datagram.destination_mac}",
        f"src_min {datagram.source}",
        f"src_max {datagram.source}",
        f"dst_min {datagram.destination}",
        f"dst_max {datagram.destination}",
        f"udp_src_min {datagram.source_port}",
        f"udp_src_max {datagram.source_port}",
        f"udp_dst_min {datagram.destination_port}",
        f"udp_dst_max {datagram.destination_port}",
        # the queue is the CPU's number; queue_map_min is no use, for pktgen starts below it and counts up
        "flag QUEUE_MAP_CPU",
    ]
    return "\n".join(
        [
            "set -e",
            f"[ -d {PROC} ] || insmod /lib/modules/pktgen.ko",
            f"echo rem_device_all > {thread}",
            f"echo add_device {device.rpartition('/')[2]} > {thread}",
            *(f"echo {shlex.quote(setting)} > {device}" for setting in settings),
            f"echo start > {PROC}/pgctrl",
            f"grep Result {device}",
            f"echo rem_device_all > {thread}",
        ]
    )
