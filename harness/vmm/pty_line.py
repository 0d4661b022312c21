"""A pseudo-terminal as the host's end of a guest's serial port, with a socket's calls."""

from __future__ import annotations

import errno
import os
import tty
from pathlib import Path


class PtyLine:
    """One end of it, by its descriptor, which is closed with it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def at(cls, path: Path) -> PtyLine:
        """The end that a VMM names for its user. Raises OSError if it cannot be opened."""
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        tty.setraw(fd)
        return cls(fd)

    @classmethod
    def pair(cls) -> tuple[PtyLine, int]:
        """Our end, and a descriptor of the other, to be a VMM's standard input and output, and closed here."""
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        return cls(ours), theirs

    def setblocking(self, flag: bool) -> None:
        """As a socket's."""
        os.set_blocking(self._fd, flag)

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def send(self, data: bytes | memoryview) -> int:
        """As a socket's."""
        return os.write(self._fd, data)

    def recv(self, size: int) -> bytes:
        """As a socket's: nothing once the VMM has closed its end, for which a terminal has an error (EIO)."""
        try:
            return os.read(self._fd, size)
        except OSError as error:
            if error.errno == errno.EIO:
                return b""
            raise

    def close(self) -> None:
        """Hang up; closing again does nothing, as with a socket."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
