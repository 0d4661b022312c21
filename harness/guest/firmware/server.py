"""The server that a firmware guest boots from: addresses by DHCP and files by TFTP, both from dnsmasq."""

from __future__ import annotations

from contextlib import ExitStack
from ipaddress import IPv4Interface
from pathlib import Path

from harness.deadline import wait_until
from harness.errors import Owner, Unavailable
from harness.process.child import VmmProcess

HOST = IPv4Interface("10.98.0.1/24")
FIRST_LEASE, LAST_LEASE = HOST.ip + 9, HOST.ip + 99
START_SECONDS = 5.0
IPXE_OPTION = 175
"""The DHCP option by which iPXE's requests are told from the firmware's own (ipxe.org/howto/dhcpd)."""


class BootServer:
    """dnsmasq on one interface, which it gives an address. `folder` holds the files; its log goes beside them.

    The firmware is told to load `first`, iPXE after it `second`.
    """

    def __init__(self, dnsmasq: Path, interface: str, folder: Path, first: str, second: str) -> None:
        from pyroute2 import IPRoute  # slow to import

        with ExitStack() as undo:
            links = undo.enter_context(IPRoute())
            (index,) = links.link_lookup(ifname=interface)
            address = {"index": index, "address": str(HOST.ip), "prefixlen": HOST.network.prefixlen}
            links.addr("add", **address)
            undo.callback(links.addr, "del", **address)
            self.process = VmmProcess(
                [
                    str(dnsmasq),
                    "--conf-file=/dev/null",
                    "--keep-in-foreground",
                    "--log-facility=-",
                    "--log-dhcp",
                    "--port=0",  # no names are served
                    "--user=root",
                    "--group=root",
                    "--pid-file",
                    "--leasefile-ro",
                    f"--interface={interface}",
                    "--bind-interfaces",
                    "--no-ping",
                    f"--dhcp-range={FIRST_LEASE},{LAST_LEASE},{HOST.netmask}",
                    f"--dhcp-match=set:ipxe,{IPXE_OPTION}",
                    f"--dhcp-boot=tag:!ipxe,{first}",
                    f"--dhcp-boot=tag:ipxe,{second}",
                    "--enable-tftp",
                    f"--tftp-root={folder}",
                ],
                folder.with_suffix(".log"),
            )
            undo.callback(self.process.stop)
            wait_until(
                "dnsmasq to start",
                self._started,
                owed_by=Owner.HOST,
                within=START_SECONDS,
                last=self.process.tail,
            )
            self._undo = undo.pop_all()

    def _started(self) -> bool:
        if (status := self.process.exit_status()) is not None:
            raise Unavailable(f"dnsmasq ended at start ({status}): {self.process.tail()}")
        return "TFTP root is" in self.process.output()

    def log(self) -> str:
        """What it did so far."""
        return self.process.output()

    def close(self) -> None:
        """Stop it, and take the address away."""
        self._undo.close()
