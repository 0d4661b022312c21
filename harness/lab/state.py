"""Where a lab leaves its traces on the host, and who holds it: one per user."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sys
import sysconfig
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.bounded import read_tail
from harness.cache import cache_root
from harness.checkout import PACKAGE
from harness.errors import Unavailable
from harness.file_lock import try_lock

CONSOLE_LINES = 20
CONSOLE_BYTES = 1 << 16
_PACKAGES = Path("/var/lib/dpkg/status")


@dataclass(frozen=True)
class State:
    """The lab's folder. While a keeper lives it holds the lock; whatever lies there without one is left over."""

    folder: Path

    @property
    def share(self) -> Path:
        """The folder that is writable in the lab too, at the same path."""
        return self.folder / "share"

    @property
    def address(self) -> Path:
        """Where the keeper listens."""
        return self.folder / "socket"

    @property
    def monitor(self) -> Path:
        """Where the machine's QEMU can be asked; the keeper and it work in the folder, for addresses are short."""
        return self.folder / "monitor"

    @property
    def registers(self) -> Path:
        """What the registers were of a machine that no longer answered."""
        return self.folder / "registers"

    @property
    def console(self) -> Path:
        """What the machine's console said."""
        return self.folder / "console.log"

    @property
    def log(self) -> Path:
        """What the keeper and QEMU said."""
        return self.folder / "keeper.log"

    @property
    def failure(self) -> Path:
        """Why the lab ended, if it was not asked to."""
        return self.folder / "failure"

    @property
    def archive(self) -> Path:
        """The part of the initramfs that is this start's own."""
        return self.folder / "initramfs"

    def hold(self) -> int:
        """Take the lock, and clear what a keeper before left. Answers a descriptor; its end is the lock's.

        Raises BlockingIOError if another process holds it, Unavailable if the folder cannot be written.
        """
        try:
            self.share.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(
                f"cannot write the lab's folder {self.folder} ({error.strerror}): set XDG_CACHE_HOME to a writable one"
            ) from None
        if not try_lock(lock):
            os.close(lock)
            raise BlockingIOError("another process keeps the lab")
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        for path in (self.address, self.console, self.failure):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.share)
        self.share.mkdir()
        return lock

    def holder(self) -> int | None:
        """The process that holds the lock; None if none does."""
        try:
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return None if try_lock(lock) else int(os.read(lock, 20) or b"0")
        finally:
            os.close(lock)

    def connect(self, patience: float) -> socket.socket | None:
        """A connection to the keeper with a timeout of `patience` seconds; None if nobody listens."""
        try:
            folder = os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(patience)
        try:
            # the folder's own path may be longer than the address of a socket
            connection.connect(f"/proc/self/fd/{folder}/{self.address.name}")
        except OSError:
            connection.close()
            return None
        finally:
            os.close(folder)
        return connection

    def console_tail(self, lines: int = CONSOLE_LINES) -> str:
        """The console's last lines."""
        try:
            text = read_tail(self.console, CONSOLE_BYTES)[1].replace(b"\0", b"").decode(errors="replace")
        except OSError:
            return "(empty)"
        return "\n".join(text.strip().splitlines()[-lines:]) or "(empty)"

    def clear(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


def state() -> State:
    """This user's lab."""
    return State(cache_root() / "lab")


def environment() -> str:
    """Changes when what the lab reads only once may have: Python's packages, Debian's packages."""
    digest = hashlib.sha256(sys.version.encode())
    for path in (Path(sysconfig.get_path("purelib")), _PACKAGES):
        with suppress(OSError):
            digest.update(f"{path} {path.stat().st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def sources() -> str:
    """Changes whenever a file of the harness does: digest of paths, sizes and times."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        known = path.stat()
        digest.update(f"{path.relative_to(PACKAGE)} {known.st_size} {known.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
