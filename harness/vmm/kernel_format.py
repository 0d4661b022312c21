"""The forms in which VMMs take a kernel."""

from __future__ import annotations

from enum import Enum


class KernelFormat(Enum):
    """What a VMM is given as its guest's kernel."""

    PVH = "elf"
    """An ELF file with the note of the PVH boot protocol, entered in 32-bit mode."""
    BZIMAGE = "bzimage"
    """Linux's own, entered as the VMM likes: in 16-, 32- or 64-bit mode."""
