"""Payload layouts of vhost-user messages (vhost-user protocol, "Payload"). Numbers are in native byte order."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

_U64 = struct.Struct("=Q")
_STATE = struct.Struct("=II")
_ADDRESS = struct.Struct("=IIQQQQ")
_REGION = struct.Struct("=QQQQ")
_TABLE = struct.Struct("=II")
_LOG = struct.Struct("=QQ")
_TRANSFER = struct.Struct("=II")


class Malformed(ValueError):
    """A message whose bytes do not follow the protocol. The text completes "the VMM sent ..."."""


def _exact(layout: struct.Struct, body: bytes) -> tuple[int, ...]:
    if len(body) != layout.size:
        raise Malformed(f"a body of {len(body)} bytes where {layout.size} belong")
    return layout.unpack(body)


class Payload(ABC):
    """A decoded message body. `ring` and `value` are None where the kind carries none."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire. Raises Malformed."""

    @abstractmethod
    def encode(self) -> bytes:
        """Its bytes on the wire."""

    @property
    def ring(self) -> int | None:
        """The vring that the message is about."""
        return None

    @property
    def value(self) -> int | None:
        """The one number that the message carries."""
        return None


@dataclass(frozen=True, slots=True)
class Empty(Payload):
    """No body."""

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire."""
        if body:
            raise Malformed(f"a body of {len(body)} bytes where none belongs")
        return cls()

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return b""


@dataclass(frozen=True, slots=True)
class U64(Payload):
    """u64: feature masks, counts, and acknowledgements (0 is success)."""

    number: int

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire."""
        return cls(*_exact(_U64, body))

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return _U64.pack(self.number)

    @property
    def value(self) -> int:
        """The number."""
        return self.number


@dataclass(frozen=True, slots=True)
class VringState(Payload):
    """u32 index, u32 num: a ring's size, base index or enable flag."""

    index: int
    num: int

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire."""
        return cls(*_exact(_STATE, body))

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return _STATE.pack(self.index, self.num)

    @property
    def ring(self) -> int:
        """The vring."""
        return self.index

    @property
    def value(self) -> int:
        """Its num."""
        return self.num


@dataclass(frozen=True, slots=True)
class VringAddress(Payload):
    """u32 index, u32 flags, then u64 descriptor, used, available (user addresses) and log (guest address).

    Flag bit 0 (VHOST_VRING_F_LOG) asks for the used ring's writes to be logged.
    """

    LOG: ClassVar[int] = 1

    index: int
    flags: int
    descriptor: int
    used: int
    available: int
    log: int

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire."""
        return cls(*_exact(_ADDRESS, body))

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return _ADDRESS.pack(self.index, self.flags, self.descriptor, self.used, self.available, self.log)

    @property
    def ring(self) -> int:
        """The vring."""
        return self.index


@dataclass(frozen=True, slots=True)
class VringFile(Payload):
    """u64: bits 0-7 the vring, bit 8 set when no descriptor comes with the message."""

    index: int
    absent: bool = False

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire."""
        (number,) = _exact(_U64, body)
        return cls(number & 0xFF, bool(number & 0x100))

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return _U64.pack(self.index | (0x100 if self.absent else 0))

    @property
    def ring(self) -> int:
        """The vring."""
        return self.index


@dataclass(frozen=True, slots=True)
class RegionDescription:
    """u64 guest address, size in bytes, user address (the VMM's), offset in the mapped file."""

    guest: int
    size: int
    user: int
    offset: int

    def __str__(self) -> str:
        return f"{self.guest:#x}+{self.size:#x}"


@dataclass(frozen=True, slots=True)
class MemoryTable(Payload):
    """u32 number of regions, u32 padding, then the regions; one descriptor each in the ancillary data."""

    regions: tuple[RegionDescription, ...]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire."""
        count = _TABLE.unpack_from(body)[0] if len(body) >= _TABLE.size else 0
        if len(body) != _TABLE.size + count * _REGION.size:
            raise Malformed(f"a body of {len(body)} bytes for a table of {count} memory regions")
        return cls(tuple(RegionDescription(*each) for each in _REGION.iter_unpack(body[_TABLE.size :])))

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        regions = (_REGION.pack(each.guest, each.size, each.user, each.offset) for each in self.regions)
        return _TABLE.pack(len(self.regions), 0) + b"".join(regions)


@dataclass(frozen=True, slots=True)
class SingleRegion(Payload):
    """u64 padding, then one region."""

    region: RegionDescription

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire."""
        expected = _U64.size + _REGION.size
        if len(body) != expected:
            raise Malformed(f"a body of {len(body)} bytes where {expected} belong")
        return cls(RegionDescription(*_REGION.unpack(body[_U64.size :])))

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        each = self.region
        return _U64.pack(0) + _REGION.pack(each.guest, each.size, each.user, each.offset)


@dataclass(frozen=True, slots=True)
class LogArea(Payload):
    """u64 size in bytes, u64 offset in the log's file."""

    size: int
    offset: int

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire."""
        return cls(*_exact(_LOG, body))

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return _LOG.pack(self.size, self.offset)


@dataclass(frozen=True, slots=True)
class StateTransfer(Payload):
    """u32 direction (0 save, 1 load), u32 phase (0 stopped)."""

    SAVE: ClassVar[int] = 0
    LOAD: ClassVar[int] = 1

    direction: int
    phase: int

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire."""
        return cls(*_exact(_TRANSFER, body))

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return _TRANSFER.pack(self.direction, self.phase)

    @property
    def value(self) -> int:
        """The direction."""
        return self.direction


@dataclass(frozen=True, slots=True)
class Opaque(Payload):
    """A body that is recorded, not interpreted."""

    raw: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire."""
        return cls(body)

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return self.raw
