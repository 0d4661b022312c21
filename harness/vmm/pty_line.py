"""A pseudo-terminal as the host's end of a guest's serial port, with a socket's calls."""

from __future__ import annotations

import errno
import os
import tty
from pathlib import Path


class PtyLine:
    """The end that a VMM names for its user. Raises OSError if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        tty.setraw(self._fd)

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
