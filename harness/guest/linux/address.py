"""The management network: the guest's address is written in its NIC's MAC, so no DHCP is needed."""

from __future__ import annotations

from ipaddress import IPv4Address

from harness.mac import mac_bytes

MAC_PREFIX = "02:6d"
"""How the MAC of a management NIC begins (locally administered); the guest knows the NIC by it."""

PREFIX_LENGTH = 30
"""The management network has two addresses: the guest's and the host's."""


def management_mac(guest: IPv4Address) -> str:
    """The MAC that makes the guest take the address `guest` on its management NIC."""
    return ":".join([MAC_PREFIX, *(f"{octet:02x}" for octet in guest.packed)])


def guest_address(mac: str) -> IPv4Address:
    """The address that a management NIC with this MAC takes. ValueError for another kind of MAC."""
    if not mac.lower().startswith(MAC_PREFIX + ":"):
        raise ValueError(f"{mac} is not the MAC of a management NIC: those begin with {MAC_PREFIX}")
    return IPv4Address(mac_bytes(mac)[2:])


def host_address(guest: IPv4Address) -> IPv4Address:
    """The other usable address of the guest's /30 network: the one to give to the management tap."""
    offset = int(guest) % 4
    if offset not in (1, 2):
        raise ValueError(f"{guest} is no usable address in a /{PREFIX_LENGTH} network")
    return guest + 1 if offset == 1 else guest - 1


def host_mac(guest: IPv4Address) -> str:
    """A MAC for the management tap that stays the same when the tap is made anew.

    A guest that is restored from a snapshot still has the old one in its ARP table.
    """
    return ":".join(["02:6e", *(f"{octet:02x}" for octet in host_address(guest).packed)])
