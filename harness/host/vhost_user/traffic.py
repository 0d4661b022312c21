"""Ethernet frames in and out of a ring, with the virtio-net header that precedes each (virtio 1.2, 5.1.6)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from harness.errors import BadInput
from harness.host.vhost_user.dirty_log import DirtyLog
from harness.host.vhost_user.features import VirtioFeature, has
from harness.host.vhost_user.memory import MemoryMap
from harness.host.vhost_user.ring import BrokenRing, Buffer, Ring

_NUM_BUFFERS = struct.Struct("=H")
_NUM_BUFFERS_AT = 10


class NetHeader:
    """The shape of the header under the negotiated features: 12 bytes, or 10 in the oldest form.

    It holds num_buffers from VERSION_1 or MRG_RXBUF on; all other fields stay 0: no offload is ever used.
    """

    def __init__(self, features: int) -> None:
        self.mergeable = has(features, VirtioFeature.NET_MRG_RXBUF)
        self.counts = self.mergeable or has(features, VirtioFeature.VERSION_1)
        self.size = 12 if self.counts else 10
        self.single = self.make(1)
        """The header of a frame in one chain."""

    def make(self, buffers: int) -> bytes:
        """The header of a frame that spans that many chains."""
        header = bytearray(self.size)
        if self.counts:
            _NUM_BUFFERS.pack_into(header, _NUM_BUFFERS_AT, buffers)
        return bytes(header)


def put_frames(
    ring: Ring, memory: MemoryMap, header: NetHeader, frames: Sequence[bytes], log: DirtyLog | None
) -> int:
    """Place frames in a receive ring until the guest's buffers run out; returns how many fitted.

    Raises BrokenRing, OutsideMemory for a ring that makes no sense, BadInput for a frame that cannot fit; the guest
    sees the frames before that, and nothing of that one.
    """
    placed = 0
    position = ring.position()
    try:
        for frame in frames:
            position = ring.position()
            if not _put(ring, memory, header, frame, log):
                break
            placed += 1
    except Exception:
        ring.rewind(position)
        raise
    finally:
        ring.counters.received += placed
        if placed:
            ring.publish(log)
    return placed


def _put(ring: Ring, memory: MemoryMap, header: NetHeader, frame: bytes, log: DirtyLog | None) -> bool:
    """Place one frame, or take nothing and answer False."""
    position = ring.position()
    need = header.size + len(frame)
    chains: list[tuple[int, list[Buffer]]] = []
    room = 0
    while room < need:
        if not ring.pending():
            ring.rewind(position)
            return False
        head, buffers = ring.pop(memory)
        if not all(writable for _, _, writable in buffers):
            raise BrokenRing("a receive buffer that the device may not write")
        chains.append((head, buffers))
        room += sum(length for _, length, _ in buffers)
        if room < need and not header.mergeable:
            raise BadInput(
                f"a frame of {len(frame)} bytes does not fit the guest's receive buffer of {room} bytes, header"
                " included; send a shorter one, or negotiate MRG_RXBUF"
            )
    data = (header.single if len(chains) == 1 else header.make(len(chains))) + frame
    offset = 0
    for head, buffers in chains:
        start = offset
        for address, length, _ in buffers:
            length = min(length, need - offset)
            memory.guest_view(address, length)[:] = data[offset : offset + length]
            if log:
                log.mark(address, length)
            offset += length
        ring.push(head, offset - start)
    return True


def take_frames(
    ring: Ring, memory: MemoryMap, header: NetHeader, log: DirtyLog | None, into: list[bytes]
) -> None:
    """Take what a transmit ring holds at this moment and give the buffers back.

    Raises BrokenRing, OutsideMemory; `into` has the frames up to there.
    """
    taken = ring.pending()
    try:
        for _ in range(taken):
            head, buffers = ring.pop(memory)
            into.append(_read(memory, header, buffers))
            ring.push(head, 0)
    finally:
        if taken:
            ring.publish(log)


def _read(memory: MemoryMap, header: NetHeader, buffers: list[Buffer]) -> bytes:
    if any(writable for _, _, writable in buffers):
        raise BrokenRing("a transmit buffer that the device is to write")
    data = b"".join([memory.guest_view(address, length) for address, length, _ in buffers])
    if len(data) < header.size:
        raise BrokenRing(f"a transmit chain of {len(data)} bytes, shorter than the header of {header.size}")
    return data[header.size :]
