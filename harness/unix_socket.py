"""Whether somebody listens on a UNIX socket: its path is there before that, from bind on."""

from __future__ import annotations

import socket
from pathlib import Path


def connect(path: Path) -> socket.socket | None:
    """A connection to a UNIX socket; None while nobody listens there."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


def is_listened_on(path: Path) -> bool:
    """Whether a connection to it is taken now; the one that is made is closed at once."""
    if (connection := connect(path)) is None:
        return False
    connection.close()
    return True
