"""A UNIX socket, from nothing to one that is listened on."""

from __future__ import annotations

import socket
from pathlib import Path

from harness.unix_socket import connect, is_listened_on


def test_socket_counts_from_listen_on_not_from_bind(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    assert connect(path) is None
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert path.is_socket()
        assert not is_listened_on(path), "bound, and refuses connections"
        server.listen()
        assert is_listened_on(path)
    assert not is_listened_on(path), "left behind by a process that ended"
