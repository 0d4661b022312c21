"""Writes cpio archives of the kind that the kernel unpacks at boot, the same bytes for the same contents.

Format "newc": Linux Documentation/driver-api/early-userspace/buffer-format.rst. The kernel unpacks archives
that lie one after the other, each beginning at a multiple of four bytes.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

_ALIGNMENT = 512


@dataclass(frozen=True)
class Entry:
    """One file of an archive: `mode` with its type bits, and its contents (of a link: the target)."""

    mode: int
    data: bytes = b""


def folder(permissions: int = 0o755) -> Entry:
    """A folder."""
    return Entry(stat.S_IFDIR | permissions)


def file(data: bytes, permissions: int = 0o644) -> Entry:
    """A regular file."""
    return Entry(stat.S_IFREG | permissions, data)


def link(target: str) -> Entry:
    """A symbolic link."""
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def archive(entries: Mapping[str, Entry]) -> bytes:
    """The archive of `entries`, by path without a leading "/".

    Folders that a path lies in and that are not entries themselves are added. All belong to root, times are
    0, and the order is that of the paths, so equal entries give equal bytes. The length is a multiple of 512.
    """
    full = {str(parent): folder() for path in entries for parent in PurePosixPath(path).parents}
    full.pop(".", None)
    full.update(entries)
    out = bytearray()
    for inode, path in enumerate(sorted(full), start=1):
        _append(out, path, full[path], inode)
    _append(out, "TRAILER!!!", Entry(0), 0)
    out += bytes(-len(out) % _ALIGNMENT)
    return bytes(out)


def _append(out: bytearray, path: str, entry: Entry, inode: int) -> None:
    name = path.encode() + b"\0"
    fields = (
        inode,
        entry.mode,
        0,  # user
        0,  # group
        1,  # links
        0,  # time of modification
        len(entry.data),
        *(0, 0, 0, 0),  # numbers of the device that it lies on, and of the device that it is
        len(name),
        0,  # checksum: none in this format
    )
    out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
    out += bytes(-len(out) % 4)
    out += entry.data
    out += bytes(-len(out) % 4)
