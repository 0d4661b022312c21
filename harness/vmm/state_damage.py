"""Ways to spoil a file of a saved VM. Which files there are is the VMM's affair."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Spoil = Callable[[Path], None]
"""Spoils the snapshot in a folder."""


def missing(file: str) -> Spoil:
    """The file is not there."""
    return lambda folder: (folder / file).unlink()


def cut(file: str, share: float = 0.0) -> Spoil:
    """Only so much of the file is left."""

    def spoil(folder: Path) -> None:
        path = folder / file
        with path.open("r+b") as opened:
            opened.truncate(int(path.stat().st_size * share))

    return spoil


def overwritten(file: str) -> Spoil:
    """The middle of the file is something else."""

    def spoil(folder: Path) -> None:
        path = folder / file
        middle = path.stat().st_size // 2
        with path.open("r+b") as opened:
            opened.seek(middle)
            opened.write(b"\xff" * 64)

    return spoil
