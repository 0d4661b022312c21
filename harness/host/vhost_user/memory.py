"""The guest's memory as the VMM shares it: regions mapped from descriptors, found by guest or by user address."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterable

from harness.host.vhost_user.payloads import Malformed, RegionDescription

MAX_SLOTS = 32
"""Answered to GET_MAX_MEM_SLOTS."""


class OutsideMemory(Exception):
    """An address range that no single region holds. The text names it."""


class Region:
    """One mapped region. The descriptor may be closed once it is mapped."""

    def __init__(self, description: RegionDescription, fd: int) -> None:
        self.description = description
        self.guest = description.guest
        self.user = description.user
        self.size = description.size
        length = description.offset + description.size
        status = os.fstat(fd)
        if not description.size or (stat.S_ISREG(status.st_mode) and length > status.st_size):
            raise Malformed(f"the memory region {description} in a file of {status.st_size:#x} bytes")
        # From offset 0, because the region's own offset need not be aligned as mmap asks.
        self._map = mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._whole = memoryview(self._map)
        self.view = self._whole[description.offset : length]

    def close(self) -> None:
        """Unmap. Every view into the region must have been released."""
        self.view.release()
        self._whole.release()
        self._map.close()


class MemoryMap:
    """All regions that are mapped at a time."""

    def __init__(self) -> None:
        self._regions: list[Region] = []

    @property
    def regions(self) -> tuple[RegionDescription, ...]:
        """What is mapped, in the order in which it was announced."""
        return tuple(each.description for each in self._regions)

    def add(self, description: RegionDescription, fd: int) -> None:
        """Map one more. Announcing the same region again renews its mapping.

        QEMU 7.2 sends ADD_MEM_REG once for each pair, each time for the same region.
        Raises Malformed for a region that overlaps another or cannot be mapped.
        """
        same = [each for each in self._regions if each.description == description]
        for each in self._regions:
            if each.description != description and _overlap(each.description, description):
                raise Malformed(f"the memory region {description}, which overlaps {each.description}")
        try:
            region = Region(description, fd)
        except (OSError, ValueError, OverflowError) as error:
            raise Malformed(f"the memory region {description}, which cannot be mapped: {error}") from None
        for each in same:
            self._regions.remove(each)
            each.close()
        self._regions.append(region)

    def remove(self, description: RegionDescription) -> None:
        """Unmap the region of that guest address, user address and size; its offset does not matter.

        Raises Malformed if there is none.
        """
        for each in self._regions:
            known = each.description
            if (known.guest, known.user, known.size) == (
                description.guest,
                description.user,
                description.size,
            ):
                self._regions.remove(each)
                each.close()
                return
        raise Malformed(f"the removal of the memory region {description}, which was never added")

    def guest_view(self, address: int, length: int) -> memoryview:
        """The bytes at a guest address. Raises OutsideMemory."""
        for each in self._regions:
            start = address - each.guest
            if start >= 0 and start + length <= each.size:
                return each.view[start : start + length]
        raise OutsideMemory(f"the guest address {address:#x}+{length:#x}, outside {self}")

    def user_view(self, address: int, length: int) -> memoryview:
        """The bytes at an address in the VMM's own space, as vring addresses are. Raises OutsideMemory."""
        for each in self._regions:
            start = address - each.user
            if start >= 0 and start + length <= each.size:
                return each.view[start : start + length]
        raise OutsideMemory(f"the user address {address:#x}+{length:#x}, outside {self}")

    def close(self) -> None:
        """Unmap everything."""
        while self._regions:
            self._regions.pop().close()

    def __str__(self) -> str:
        return f"the regions {_listed(self.regions)}" if self._regions else "memory, for there is none"


def _overlap(one: RegionDescription, other: RegionDescription) -> bool:
    return one.guest < other.guest + other.size and other.guest < one.guest + one.size


def _listed(regions: Iterable[RegionDescription]) -> str:
    return ", ".join(str(each) for each in regions)
