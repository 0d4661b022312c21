"""PCI as the driver sees it: configuration space through ports 0xcf8 and 0xcfc, and virtio's capabilities.

Sources: PCI Local Bus Specification 3.0, 3.2.2.3.2 (configuration mechanism 1); virtio 1.2, 4.1.4 (capabilities).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from harness.errors import GuestError
from harness.guest.probe.bus import Bus, Operation, map_registers, port_in, port_out, read, write
from harness.guest.probe.transport import Common, Structure

CONFIG_ADDRESS, CONFIG_DATA = 0xCF8, 0xCFC
CONFIG_SIZE = 256
VENDOR_VIRTIO = 0x1AF4
DEVICE_NET_MODERN, DEVICE_NET_TRANSITIONAL = 0x1041, 0x1000
COMMAND = 0x04
COMMAND_MEMORY, COMMAND_BUS_MASTER, COMMAND_NO_INTX = 1 << 1, 1 << 2, 1 << 10
BAR0, BARS = 0x10, 6
BAR_IO, BAR_64_BIT = 1, 4
MEMORY_WINDOW = 0x20
"""Of a bridge: base and limit of the addresses that it passes on, in units of 1 MiB."""
CAPABILITIES = 0x34
CAPABILITY_VENDOR, CAPABILITY_MSIX = 0x09, 0x11
ROOT_WINDOW = 0xC0000000
"""Where the machines of all VMMs that were looked at have their devices' memory below 4 GiB, and no other."""
ROOT_PART = 1 << 20
"""Bytes of it for each device."""
BRIDGE = 1
"""Header type of a PCI-to-PCI bridge (bits 0 to 6 of the byte at 0x0e)."""
PRIMARY_TO_SUBORDINATE = 0x18
_FOUR_GIB = 1 << 32


@dataclass(frozen=True)
class Function:
    """A PCI function's address."""

    bus: int
    device: int
    function: int = 0
    bridge: Function | None = None
    """The bridge that it is behind, if any."""

    def __str__(self) -> str:
        return f"{self.bus:02x}:{self.device:02x}.{self.function}"

    def select(self, offset: int) -> Operation:
        """The access that points CONFIG_DATA at the doubleword of `offset`."""
        where = self.bus << 16 | self.device << 11 | self.function << 8 | offset & 0xFC
        return port_out(4, CONFIG_ADDRESS, 1 << 31 | where)


@dataclass(frozen=True)
class Identity:
    """The first two registers of a function: 16-bit vendor and device ids."""

    vendor: int
    device: int

    @property
    def is_virtio_net(self) -> bool:
        """Whether it is a virtio network device."""
        return self.vendor == VENDOR_VIRTIO and self.device in (DEVICE_NET_MODERN, DEVICE_NET_TRANSITIONAL)


@dataclass(frozen=True)
class Region:
    """A configuration structure: guest-physical `address`, `length` in bytes, and notify_off_multiplier."""

    address: int
    length: int
    multiplier: int = 0


class Pci:
    """The registers of one virtio PCI function, which is given its addresses and enabled for memory and DMA."""

    def __init__(self, bus: Bus, function: Function) -> None:
        self.function = function
        config = place_bars(bus, function)
        self.regions = virtio_regions(config)
        self.msix_vectors = msix_vectors(config)
        write_config(bus, function, COMMAND, 2, COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_NO_INTX)
        high = [region for region in self.regions.values() if region.address >= _FOUR_GIB]
        bus.run([map_registers(region.address, max(region.length, 1)) for region in high])

    def __str__(self) -> str:
        return str(self.function)

    @property
    def tells_queue_size(self) -> bool:
        """See Transport."""
        return True

    @property
    def bell_stride(self) -> int:
        """See Transport."""
        return self.regions[Structure.NOTIFY].multiplier

    def has(self, register: Common) -> bool:
        """See Transport."""
        return True

    def at(self, structure: Structure, offset: int) -> int:
        """See Transport."""
        return self.regions[structure].address + offset

    def get(self, register: Common, width: int) -> Operation:
        """See Transport."""
        return read(width, self.at(Structure.COMMON, register))

    def put(self, register: Common, width: int, value: int) -> Operation:
        """See Transport."""
        return write(width, self.at(Structure.COMMON, register), value)

    def doorbell(self, index: int, notify_offset: int) -> Operation:
        """See Transport."""
        return write(2, self.regions[Structure.NOTIFY].address + notify_offset * self.bell_stride, index)

    def release(self, bus: Bus) -> None:
        """See Transport."""
        write_config(bus, self.function, COMMAND, 2, COMMAND_MEMORY | COMMAND_NO_INTX)


def read_config(bus: Bus, function: Function, offset: int = 0, length: int = CONFIG_SIZE) -> bytes:
    """`length` bytes of configuration space; both numbers are multiples of four."""
    operations = []
    for at in range(offset, offset + length, 4):
        operations += [function.select(at), port_in(4, CONFIG_DATA)]
    return b"".join(struct.pack("<I", value) for value in bus.run(operations))


def write_config(bus: Bus, function: Function, offset: int, width: int, value: int) -> None:
    """Write a field of 1, 2 or 4 bytes."""
    bus.run([function.select(offset), port_out(width, CONFIG_DATA + (offset & 3), value)])


def scan(bus: Bus, number: int = 0, bridge: Function | None = None) -> Iterator[tuple[Function, Identity]]:
    """The functions present on PCI bus `number` and on the buses behind its bridges, function 0 of each device."""
    devices = [Function(number, device, 0, bridge) for device in range(32)]
    operations = []
    for function in devices:
        operations += [function.select(0), port_in(4, CONFIG_DATA)]
    for function, identity in zip(devices, bus.run(operations), strict=True):
        known = Identity(identity & 0xFFFF, identity >> 16)
        if known.vendor in (0xFFFF, 0):
            continue
        yield function, known
        head = read_config(bus, function, 0, 0x1C)
        secondary = head[PRIMARY_TO_SUBORDINATE + 1] if head[0x0E] & 0x7F == BRIDGE else 0
        if secondary > number:
            yield from scan(bus, secondary, function)


def capabilities(config: bytes) -> Iterator[tuple[int, int]]:
    """Offset and id of each capability, in the order of the list."""
    at, seen = config[CAPABILITIES] & 0xFC, set[int]()
    while at and at not in seen:
        seen.add(at)
        yield at, config[at]
        at = config[at + 1] & 0xFC


def bar_address(config: bytes, index: int) -> int:
    """Where a memory BAR lies, by what the firmware or the VMM has put there."""
    (low,) = struct.unpack_from("<I", config, BAR0 + 4 * index)
    address = int(low & ~0xF)
    if low & 6 == 4:  # a 64-bit BAR takes the next one's place too
        (high,) = struct.unpack_from("<I", config, BAR0 + 4 * index + 4)
        address |= high << 32
    return address


def place_bars(bus: Bus, function: Function) -> bytes:
    """Give an address to each memory BAR that has none, as a hot-plugged function's; the configuration space then.

    Addresses come from the memory window that the firmware gave the bridge in front. On the root bus most VMMs have
    placed what a driver needs; for those that leave it to firmware, each device has a part of a window of our own.
    """
    config = read_config(bus, function)
    if function.bridge is None:
        if all(bar_address(config, index) for index in _needed_bars(config)):
            return config
        free = ROOT_WINDOW + function.device * ROOT_PART
        end = free + ROOT_PART
    else:
        base, limit = struct.unpack("<HH", read_config(bus, function.bridge, MEMORY_WINDOW, 4))
        free, end = (base & 0xFFF0) << 16, ((limit & 0xFFF0) << 16) + (1 << 20)
    index = 0
    while index < BARS:
        (low,) = struct.unpack_from("<I", config, BAR0 + 4 * index)
        if not low & BAR_IO and not bar_address(config, index) and (size := _bar_size(bus, function, index)):
            place = -(-free // size) * size
            if place + size > end:
                raise GuestError(f"there is no room in front of {function} for a BAR of {size} bytes")
            write_config(bus, function, BAR0 + 4 * index, 4, place)
            free = place + size
        index += 2 if low & 7 == BAR_64_BIT else 1
    return read_config(bus, function)


def _needed_bars(config: bytes) -> set[int]:
    """Those that virtio's structures and the MSI-X table lie in."""
    found = set()
    for at, identity in capabilities(config):
        if identity == CAPABILITY_VENDOR and config[at + 4] < BARS:
            found.add(config[at + 4])
        elif identity == CAPABILITY_MSIX:
            found.add(config[at + 4] & 7)
    return found


def _bar_size(bus: Bus, function: Function, index: int) -> int:
    """Bytes that a memory BAR decodes, by the classic trick: write ones, see which stay; 0 for none."""
    write_config(bus, function, BAR0 + 4 * index, 4, 0xFFFFFFFF)
    (kept,) = struct.unpack("<I", read_config(bus, function, BAR0 + 4 * index, 4))
    return int(-(kept & ~0xF) & 0xFFFFFFFF)


def virtio_regions(config: bytes) -> dict[Structure, Region]:
    """The device's configuration structures. The first of each type is the one to use (virtio 1.2, 4.1.4.1)."""
    found: dict[Structure, Region] = {}
    for at, identity in capabilities(config):
        if identity != CAPABILITY_VENDOR or at + 20 > len(config) or config[at + 3] not in list(Structure):
            continue
        if config[at + 4] >= BARS:
            raise GuestError(
                f"a virtio structure of the device lies in BAR {config[at + 4]}, which no device has"
            )
        kind = Structure(config[at + 3])
        offset, length = struct.unpack_from("<II", config, at + 8)
        multiplier = struct.unpack_from("<I", config, at + 16)[0] if kind is Structure.NOTIFY else 0
        found.setdefault(kind, Region(bar_address(config, config[at + 4]) + offset, length, multiplier))
    if missing := set(Structure) - set(found):
        names = ", ".join(kind.name for kind in sorted(missing))
        raise GuestError(f"the device lacks virtio configuration structures: {names}")
    return found


def msix_vectors(config: bytes) -> int:
    """Size of the MSI-X table; 0 without the capability."""
    for at, identity in capabilities(config):
        if identity == CAPABILITY_MSIX:
            return int((struct.unpack_from("<H", config, at + 2)[0] & 0x7FF) + 1)
    return 0
