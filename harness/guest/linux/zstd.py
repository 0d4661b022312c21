"""Zstandard, by the library that dpkg itself needs: Python has it from 3.14 on only."""

from __future__ import annotations

import ctypes

from harness.errors import Unavailable

_UNKNOWN, _BROKEN = 2**64 - 1, 2**64 - 2
"""What ZSTD_getFrameContentSize() answers where it cannot tell (zstd.h)."""


def decompress(data: bytes) -> bytes:
    """The contents of one frame that tells its size. Raises Unavailable for anything else, or without the library."""
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError:
        raise Unavailable("libzstd.so.1 is missing: apt-get install libzstd1") from None
    library.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
    library.ZSTD_decompress.restype = ctypes.c_size_t
    size = library.ZSTD_getFrameContentSize(data, ctypes.c_size_t(len(data)))
    if size in (_UNKNOWN, _BROKEN):
        raise Unavailable(
            "a file of the kernel's packages is no Zstandard frame of known size: fetch it again"
        )
    contents = ctypes.create_string_buffer(size)
    done = library.ZSTD_decompress(contents, ctypes.c_size_t(size), data, ctypes.c_size_t(len(data)))
    if done != size:
        raise Unavailable("a file of the kernel's packages is a damaged Zstandard frame: fetch it again")
    return contents.raw
