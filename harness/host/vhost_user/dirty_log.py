"""The log of written guest pages that live migration asks for (vhost-user protocol, "Migration")."""

from __future__ import annotations

import mmap

from harness.host.vhost_user.payloads import LogArea, Malformed

PAGE = 0x1000
"""Bytes per bit (VHOST_LOG_PAGE)."""


class DirtyLog:
    """A bitmap shared with the VMM: bit n of byte n // 8 is the guest page n."""

    def __init__(self, area: LogArea, fd: int) -> None:
        try:
            self._map = mmap.mmap(
                fd, area.offset + area.size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE
            )
        except (OSError, ValueError, OverflowError) as error:
            raise Malformed(f"a migration log of {area.size} bytes that cannot be mapped: {error}") from None
        self._whole = memoryview(self._map)
        self._bits = self._whole[area.offset : area.offset + area.size]

    def mark(self, address: int, length: int) -> None:
        """Note that `length` bytes at the guest address were written.

        The VMM only ever clears bits, so a race with it can mark a page too many, never one too few.
        """
        for page in range(address // PAGE, (address + max(length, 1) - 1) // PAGE + 1):
            if page // 8 < len(self._bits):
                self._bits[page // 8] |= 1 << page % 8

    def close(self) -> None:
        """Unmap it."""
        self._bits.release()
        self._whole.release()
        self._map.close()
