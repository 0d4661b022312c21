"""A cache on disk of what is built from recipes: made once per content, however many ask at once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.deadline import wait_until
from harness.errors import Owner, Unavailable

Build = Callable[[Path], None]

BUILD_PATIENCE = 300.0
"""Seconds to wait for another process that builds the same entry."""


def cache_root() -> Path:
    """The cache's folder: $XDG_CACHE_HOME/virtio-net-mq, or ~/.cache/virtio-net-mq.

    A relative XDG_CACHE_HOME is ignored (XDG Base Directory Specification 0.8).
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path("~/.cache").expanduser()) / "virtio-net-mq"


def cached(name: str, inputs: bytes, build: Build, *, root: Path | None = None) -> Path:
    """The file or folder that `build` makes from `inputs`, from the cache where it is there already.

    `inputs` is everything that the result depends on: its hash is part of the entry's name, so a change of
    inputs asks for a new entry. `build` is given a path that does not exist yet, in an empty folder of its
    own (a place for intermediate files too), and leaves its file or folder there. A build that fails leaves
    nothing. Of several processes that ask at once, one builds and the others wait for it.

    Raises Unavailable where the cache cannot be written, DeadlineExceeded if another's build does not end,
    and whatever `build` raises.
    """
    folder = root or cache_root()
    entry = folder / f"{name}-{hashlib.sha256(inputs).hexdigest()[:16]}"
    if entry.exists():
        return entry
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / f".{entry.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise Unavailable(
            f"cannot write the cache {folder} ({error.strerror}): set XDG_CACHE_HOME to a writable folder"
        ) from error
    with _locked(lock, entry):
        if not entry.exists():
            _build(entry, build)
    return entry


@contextmanager
def _locked(lock: int, entry: Path) -> Iterator[None]:
    """Hold the entry's lock. The kernel frees it if this process dies."""

    def taken() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        wait_until(
            f"another process to build {entry}",
            taken,
            owed_by=Owner.HOST,
            within=BUILD_PATIENCE,
            every=0.02,
            last=lambda: "its lock is still held",
        )
        yield
    finally:
        os.close(lock)


def _build(entry: Path, build: Build) -> None:
    workdir = entry.with_name(f".{entry.name}.building")
    # Only the holder of the lock comes here: what lies there is left over from a process that was killed.
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir()
    try:
        build(workdir / "result")
        (workdir / "result").rename(entry)
    finally:
        shutil.rmtree(workdir, ignore_errors=True)
