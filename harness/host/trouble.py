"""A host in trouble: what passes for a fault of the VMM, and is none. Each kind is told from the host itself."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from harness.cache import damaged
from harness.host import kvm

FEW_FILES = 256
"""A limit of open files below this is too low for a VMM with its NICs, and for the suite."""
LITTLE_ROOM_MIB = 16
LITTLE_MEMORY_MIB = 128
PROCFS = Path("/proc")

_SENTENCES = {
    errno.EMFILE: "no more files may be opened ({files}): raise it, ulimit -n 1024",
    errno.ENFILE: "the host may open no more files (fs.file-max): close some, or raise it",
    errno.ENOSPC: "there is no space left on the disk: make room, or point TMPDIR and XDG_CACHE_HOME elsewhere",
    errno.EDQUOT: "the disk quota is used up: make room, or point TMPDIR and XDG_CACHE_HOME elsewhere",
    errno.ENOMEM: "the host has no memory left: run fewer at a time (-n)",
}


def trouble(words: str, error: BaseException | None, folder: Path) -> str | None:
    """What is wrong with this host, in one sentence with the way out; None if nothing is seen to be.

    `words` are a VMM's, which says what the system refused it: they count only where the host is seen to be so.
    `error` is what the suite met itself. `folder` is where files are written.
    """
    for refused in _errno_of(error):
        if refused in _SENTENCES:
            return _sentence(refused)
    if _says(words, errno.EMFILE) and _most_files() < FEW_FILES:
        return _sentence(errno.EMFILE)
    if _says(words, errno.ENOSPC) and _room_mib(folder) < LITTLE_ROOM_MIB:
        return _sentence(errno.ENOSPC)
    if _says(words, errno.ENOMEM) and available_mib() < LITTLE_MEMORY_MIB:
        return _sentence(errno.ENOMEM)
    if _IMAGE.search(words) and (bad := damaged()):
        told = "its checksum is not the one it was made with"
        return f"the cached image {bad[0]} is damaged ({told}): the next run makes it anew"
    if "kvm" in words.lower() and (why := kvm.lacking()) is not None:
        return why
    return None


_IMAGE = re.compile(r"bz_?image|kernel|initramfs|initrd", re.IGNORECASE)


def _sentence(number: int) -> str:
    return _SENTENCES[number].format(files=f"ulimit -n is {_most_files()}")


def _says(words: str, number: int) -> bool:
    """Whether a program names this error, as Rust or as C does."""
    return f"os error {number})" in words or os.strerror(number) in words


def _errno_of(error: BaseException | None) -> Iterator[int]:
    """The error numbers of an error and of those that caused it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            yield error.errno
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def few_files() -> str | None:
    """What to say before anything runs where too few files may be opened for a VMM and the suite; None if enough."""
    if (most := _most_files()) >= FEW_FILES:
        return None
    return (
        f"too few files may be opened (ulimit -n is {most}, {FEW_FILES} are needed): raise it, ulimit -n 1024"
    )


def _most_files() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _room_mib(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free >> 20
    except OSError:
        return 0


def available_mib() -> int:
    """Memory that the host can still give away (proc_meminfo(5))."""
    lines = dict(line.split(":") for line in (PROCFS / "meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) >> 10
