"""A cache on disk of what is built from recipes: made once per content, however many ask at once."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.deadline import wait_until
from harness.errors import Owner, Unavailable
from harness.file_lock import try_lock

Build = Callable[[Path], None]
SUM = ".sha256"
"""How the files' names end that hold the entries' checksums."""

announce: Callable[[str], object] = len
"""Told in words, before anything is made: it can take half a minute. Whoever has somebody to tell puts itself here."""

BUILD_PATIENCE = 300.0
"""Seconds to wait for another process that builds the same entry."""


def cache_root() -> Path:
    """The cache's folder: $XDG_CACHE_HOME/virtio-net-mq, or ~/.cache/virtio-net-mq.

    A relative XDG_CACHE_HOME is ignored (XDG Base Directory Specification 0.8).
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path("~/.cache").expanduser()) / "virtio-net-mq"


def cached(
    name: str, inputs: bytes, build: Build, *, root: Path | None = None, in_no_time: bool = False
) -> Path:
    """The file or folder that `build` makes from `inputs`, from the cache where it is there already.

    `inputs` is everything that the result depends on: its hash is part of the entry's name, so a change of
    inputs asks for a new entry. `build` is given a path that does not exist yet, in an empty folder of its
    own (a place for intermediate files too), and leaves its file or folder there. A build that fails leaves
    nothing; an entry that is not what was made (see `damaged`) is made anew. Of several processes that ask at
    once, one builds and the others wait for it. `in_no_time`: nobody has to be told that it is being made.

    Raises Unavailable where the cache cannot be written, DeadlineExceeded if another's build does not end,
    and whatever `build` raises.
    """
    folder = root or cache_root()
    entry = folder / f"{name}-{hashlib.sha256(inputs).hexdigest()[:16]}"
    if _is_sound(entry):
        return entry
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / f".{entry.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise Unavailable(
            f"cannot write the cache {folder} ({error.strerror}): set XDG_CACHE_HOME to a writable folder"
        ) from error
    with _locked(lock, entry):
        if not _is_sound(entry):
            _remove(entry)
            if not in_no_time:
                announce(f"making {name}, once on this host, in {folder}")
            _build(entry, build)
    return entry


def damaged(root: Path | None = None) -> list[Path]:
    """The entries that are not what they were when they were made: a disk that was full, or somebody's hand."""
    folder = root or cache_root()
    sums = sorted(folder.glob(f".*{SUM}")) if folder.is_dir() else []
    entries = [folder / path.name.removeprefix(".").removesuffix(SUM) for path in sums]
    return [entry for entry in entries if entry.exists() and not _is_sound(entry)]


def _is_sound(entry: Path) -> bool:
    """Whether the entry is there, and is what was made. One of which no checksum was kept gets one."""
    if not entry.exists():
        return False
    kept, found = entry.with_name(f".{entry.name}{SUM}"), _checksum(entry)
    try:
        return kept.read_text() == found
    except OSError:
        with suppress(OSError):  # a cache that is only read serves as well
            kept.write_text(found)
        return True


def _checksum(entry: Path) -> str:
    """Of a file's bytes, or of all names and bytes below a folder."""
    digest = hashlib.sha256()
    for path in [entry] if entry.is_file() else sorted(entry.rglob("*")):
        digest.update(f"{path.relative_to(entry)}\0".encode())
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _remove(entry: Path) -> None:
    """Take a damaged entry away, file or folder."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
    entry.with_name(f".{entry.name}{SUM}").unlink(missing_ok=True)


@contextmanager
def _locked(lock: int, entry: Path) -> Iterator[None]:
    """Hold the entry's lock. The kernel frees it if this process dies."""

    try:
        wait_until(
            f"another process to build {entry}",
            lambda: try_lock(lock),
            owed_by=Owner.HOST,
            within=BUILD_PATIENCE,
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
        entry.with_name(f".{entry.name}{SUM}").write_text(_checksum(entry))
    finally:
        shutil.rmtree(workdir, ignore_errors=True)
