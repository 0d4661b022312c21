"""Payload layouts of vhost-user messages (vhost-user protocol, "Payload"). Numbers are in native byte order."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar, Self


class Malformed(ValueError):
    """A message whose bytes do not follow the protocol. The text completes "the VMM sent ..."."""


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


class Numbers(Payload):
    """A body of numbers alone: LAYOUT has one for each field, in their order. Base of dataclasses."""

    __slots__ = ()
    LAYOUT: ClassVar[struct.Struct]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire. Raises Malformed."""
        if len(body) != cls.LAYOUT.size:
            raise Malformed(f"a body of {len(body)} bytes where {cls.LAYOUT.size} belong")
        return cls(*cls.LAYOUT.unpack(body))

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return self.LAYOUT.pack(*(getattr(self, field.name) for field in fields(self)))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Empty(Numbers):
    """No body."""

    LAYOUT = struct.Struct("")


@dataclass(frozen=True, slots=True)
class U64(Numbers):
    """u64: feature masks, counts, and acknowledgements (0 is success)."""

    LAYOUT = struct.Struct("=Q")

    number: int

    @property
    def value(self) -> int:
        """The number."""
        return self.number


@dataclass(frozen=True, slots=True)
class OfRing(Numbers):
    """A body that begins with the index of a vring."""

    index: int

    @property
    def ring(self) -> int:
        """The vring."""
        return self.index


@dataclass(frozen=True, slots=True)
class VringState(OfRing):
    """u32 index, u32 num: a ring's size, base index or enable flag."""

    LAYOUT = struct.Struct("=II")

    num: int

    @property
    def value(self) -> int:
        """Its num."""
        return self.num


@dataclass(frozen=True, slots=True)
class VringAddress(OfRing):
    """u32 index, u32 flags, then u64 descriptor, used, available (user addresses) and log (guest address).

    Flag bit 0 (VHOST_VRING_F_LOG) asks for the used ring's writes to be logged.
    """

    LAYOUT = struct.Struct("=IIQQQQ")
    LOG: ClassVar[int] = 1

    flags: int
    descriptor: int
    used: int
    available: int
    log: int


@dataclass(frozen=True, slots=True)
class VringFile(OfRing):
    """u64: bits 0-7 the vring, bit 8 set when no descriptor comes with the message."""

    absent: bool = False

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire. Raises Malformed."""
        number = U64.decode(body).number
        return cls(number & 0xFF, bool(number & 0x100))

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return U64(self.index | (0x100 if self.absent else 0)).encode()


@dataclass(frozen=True, slots=True)
class RegionDescription(Numbers):
    """u64 guest address, size in bytes, user address (the VMM's), offset in the mapped file."""

    LAYOUT = struct.Struct("=QQQQ")

    guest: int
    size: int
    user: int
    offset: int

    def __str__(self) -> str:
        return f"{self.guest:#x}+{self.size:#x}"


@dataclass(frozen=True, slots=True)
class MemoryTable(Payload):
    """u32 number of regions, u32 padding, then the regions; one descriptor each in the ancillary data."""

    COUNT: ClassVar[struct.Struct] = struct.Struct("=II")

    regions: tuple[RegionDescription, ...]

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire. Raises Malformed."""
        head, each = cls.COUNT.size, RegionDescription.LAYOUT.size
        count = cls.COUNT.unpack_from(body)[0] if len(body) >= head else 0
        if len(body) != head + count * each:
            raise Malformed(f"a body of {len(body)} bytes for a table of {count} memory regions")
        return cls(
            tuple(RegionDescription.decode(body[at : at + each]) for at in range(head, len(body), each))
        )

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return self.COUNT.pack(len(self.regions), 0) + b"".join(each.encode() for each in self.regions)


@dataclass(frozen=True, slots=True)
class SingleRegion(Payload):
    """u64 padding, then one region."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("=8x32s")

    region: RegionDescription

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire. Raises Malformed."""
        if len(body) != cls.LAYOUT.size:
            raise Malformed(f"a body of {len(body)} bytes where {cls.LAYOUT.size} belong")
        return cls(RegionDescription.decode(*cls.LAYOUT.unpack(body)))

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return self.LAYOUT.pack(self.region.encode())


@dataclass(frozen=True, slots=True)
class ConfigAccess(Payload):
    """u32 offset, u32 size, u32 flags, then `size` bytes of configuration space.

    Flags of SET_CONFIG: 0 what a driver wrote, 1 what a migration brings. A reply without bytes says that there is
    no such part of the space.
    """

    HEAD: ClassVar[struct.Struct] = struct.Struct("=III")

    offset: int
    flags: int
    data: bytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read it from the wire. Raises Malformed."""
        head = cls.HEAD.size
        offset, size, flags = cls.HEAD.unpack_from(body) if len(body) >= head else (0, 0, 0)
        if len(body) != head + size:
            raise Malformed(f"a body of {len(body)} bytes for {size} bytes of configuration space")
        return cls(offset, flags, body[head:])

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return self.HEAD.pack(self.offset, len(self.data), self.flags) + self.data

    @property
    def value(self) -> int:
        """Where it begins."""
        return self.offset

    def __str__(self) -> str:
        return f"{len(self.data)} bytes at {self.offset}"


@dataclass(frozen=True, slots=True)
class LogArea(Numbers):
    """u64 size in bytes, u64 offset in the log's file."""

    LAYOUT = struct.Struct("=QQ")

    size: int
    offset: int


@dataclass(frozen=True, slots=True)
class StateTransfer(Numbers):
    """u32 direction (0 save, 1 load), u32 phase (0 stopped)."""

    LAYOUT = struct.Struct("=II")
    SAVE: ClassVar[int] = 0
    LOAD: ClassVar[int] = 1

    direction: int
    phase: int

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
