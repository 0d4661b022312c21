"""Who listens and who connects: the two ways in which a vhost-user connection comes about."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from abc import ABC, abstractmethod
from pathlib import Path

from harness.errors import BadInput

_LONGEST_PATH = 107
"""Bytes in sockaddr_un.sun_path, less the final NUL."""


class Endpoint(ABC):
    """One side of a socket path. It yields one connection after another, without ever blocking."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last_attempt = "no attempt yet"
        """What became of the latest `attempt`, for messages to people."""

    @abstractmethod
    def open(self) -> None:
        """Get ready for connections. Raises BadInput where the path cannot serve."""

    @abstractmethod
    def attempt(self) -> socket.socket | None:
        """A new, non-blocking connection, or None where there is none yet."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing behind. May be called twice."""

    def fileno(self) -> int | None:
        """A descriptor that is readable when an attempt is worthwhile, or None: then try from time to time."""
        return None

    def _check_path(self) -> None:
        if len(os.fsencode(self.path)) > _LONGEST_PATH:
            raise BadInput(
                f"the socket path {self.path} is longer than {_LONGEST_PATH} bytes, which is all a UNIX socket allows;"
                " use a shorter folder, such as one under /tmp"
            )
        if not self.path.parent.is_dir():
            raise BadInput(
                f"the folder {self.path.parent} of the socket {self.path.name} does not exist; create it"
            )
        if self.path.exists() and not stat.S_ISSOCK(self.path.stat().st_mode):
            raise BadInput(
                f"{self.path} exists and is no socket; remove it or choose another path for the socket"
            )


class Listen(Endpoint):
    """This side listens on the path and the peer connects. A stale socket of that name is replaced."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._listener: socket.socket | None = None
        self._inode = 0

    def open(self) -> None:
        """Bind the path. Raises BadInput if it is taken: by another listener, or by a file that is no socket."""
        self._check_path()
        if self.path.exists():
            self._remove_stale()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._listener.bind(str(self.path))
            self._inode = self.path.stat().st_ino
            self._listener.listen()
        except OSError as error:
            self.close()
            raise BadInput(f"cannot listen on {self.path}: {error.strerror}; choose another path") from None

    def _remove_stale(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as trial:
            refused = trial.connect_ex(str(self.path)) == errno.ECONNREFUSED
        if not refused:
            raise BadInput(f"another program listens on {self.path}; stop it or choose another path")
        self.path.unlink(missing_ok=True)

    def attempt(self) -> socket.socket | None:
        """Accept a connection that waits."""
        if self._listener is None:
            return None
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            self.last_attempt = (
                "nobody connected" if isinstance(error, BlockingIOError) else str(error.strerror)
            )
            return None
        connection.setblocking(False)
        self.last_attempt = "connected"
        return connection

    def close(self) -> None:
        """Stop listening, and remove the socket unless somebody else's has taken its place."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()

    def fileno(self) -> int | None:
        """The listening socket."""
        return self._listener.fileno() if self._listener else None


class Connect(Endpoint):
    """The peer listens on the path and this side connects, as often as it takes."""

    def open(self) -> None:
        """Check the path. Raises BadInput if no socket can be there."""
        self._check_path()

    def attempt(self) -> socket.socket | None:
        """Try to connect."""
        trial = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        code = trial.connect_ex(str(self.path))
        self.last_attempt = os.strerror(code) if code else "connected"
        if code:
            trial.close()
            return None
        return trial

    def close(self) -> None:
        """Nothing to remove: the socket is the peer's."""
