"""The tap behind a Linux guest's management NIC: it carries SSH, and nothing on it is judged."""

from __future__ import annotations

from contextlib import ExitStack
from ipaddress import IPv4Address

from harness.guest.linux.address import PREFIX_LENGTH, host_address, host_mac
from harness.host import tun
from harness.vmm.base import TapByName


class ManagementTap:
    """A tap of one queue, up, with the host's address in the network that it shares with one guest."""

    def __init__(self, name: str, guest: IPv4Address) -> None:
        from pyroute2 import IPRoute  # slow to import

        self.attachment = TapByName(name)
        with ExitStack() as undo:
            links = undo.enter_context(IPRoute())
            tun.create_persistent(name, multi_queue=False)
            (self._index,) = links.link_lookup(ifname=name)
            undo.callback(links.link, "del", index=self._index)
            links.link("set", index=self._index, address=host_mac(guest), state="up")
            links.addr("add", index=self._index, address=str(host_address(guest)), prefixlen=PREFIX_LENGTH)
            self._undo = undo.pop_all()

    def close(self) -> None:
        """Remove it."""
        self._undo.close()
