from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import BadInput
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.endpoints import Connect, Endpoint, Listen

from .frontend import FrontEnd

BOTH = pytest.mark.parametrize("kind", [Listen, Connect])


def stale_socket(path: Path) -> None:
    """What a listener leaves that was killed."""
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
        gone.listen()


def test_a_stale_socket_is_replaced(path: Path, connect: Callable[[], FrontEnd]) -> None:
    stale_socket(path)
    with Backend(Listen(path)):
        connect().negotiate()
    assert not path.exists()


def test_a_live_socket_is_bad_input_and_stays(
    path: Path, backend: Backend, connect: Callable[[], FrontEnd]
) -> None:
    with pytest.raises(BadInput, match=f"another program listens on {path}; stop it or choose another path"):
        Backend(Listen(path))
    connect()
    backend.wait("a connection after the trial", lambda b: b.connections == 2, within=2)


@BOTH
def test_a_file_that_is_no_socket_is_bad_input_and_stays(
    path: Path, kind: Callable[[Path], Endpoint]
) -> None:
    path.write_text("precious")
    with pytest.raises(BadInput, match="exists and is no socket"):
        Backend(kind(path))
    assert path.read_text() == "precious"
    path.unlink()


@BOTH
def test_a_folder_that_does_not_exist_is_bad_input(folder: Path, kind: Callable[[Path], Endpoint]) -> None:
    with pytest.raises(
        BadInput, match=r"the folder .*/absent of the socket vu\.sock does not exist; create it"
    ):
        Backend(kind(folder / "absent" / "vu.sock"))


@BOTH
def test_a_path_too_long_for_a_socket_is_bad_input(folder: Path, kind: Callable[[Path], Endpoint]) -> None:
    with pytest.raises(BadInput, match="longer than 107 bytes"):
        Backend(kind(folder / ("x" * 100)))


def test_a_folder_where_nothing_can_be_made_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"cannot listen on /proc/vu\.sock"):
        Backend(Listen(Path("/proc/vu.sock")))


def test_a_socket_that_took_our_place_is_not_removed(path: Path) -> None:
    with Backend(Listen(path)):
        path.unlink()
        stale_socket(path)
    assert path.is_socket()
    path.unlink()
