"""A guest's SSH server, played by paramiko in this process: it knows a few commands, some of them ill-behaved."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address

import paramiko
import paramiko.common
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.deadline import PACE
from harness.guest.linux.keys import Keys, make_keys

LOCALHOST = IPv4Address("127.0.0.1")


@pytest.fixture(scope="session")
def host_key() -> paramiko.Ed25519Key:
    """The key of the guests that `serve` starts."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return paramiko.Ed25519Key(file_obj=io.StringIO(pem.decode()))


@pytest.fixture(scope="session")
def keys(host_key: paramiko.Ed25519Key) -> Keys:
    """The keys of a run whose guest has `host_key`."""
    return replace(make_keys(), host=host_key.asbytes())


@pytest.fixture
def serve(host_key: paramiko.Ed25519Key, keys: Keys) -> Iterator[Callable[..., int]]:
    """Starts a guest's SSH server, for `keys`; answers its port."""
    with ExitStack() as undo:

        def start(*, mute: bool = False) -> int:
            guest = FakeGuest(host_key, keys.client.asbytes(), mute=mute)
            undo.callback(guest.close)
            return guest.port

        yield start


class FakeGuest:
    """Listens on a free port of 127.0.0.1 and serves every connection until it is closed."""

    def __init__(self, host_key: paramiko.PKey, client_key: bytes, *, mute: bool = False) -> None:
        self.released = threading.Event()
        self.transports: list[paramiko.Transport] = []
        self._host_key = host_key
        self._client_key = client_key
        self._mute = mute
        self._undo = ExitStack()
        self._listener = socket.create_server((str(LOCALHOST), 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(5 * PACE)
        self._listener.close()
        self._undo.close()
        for transport in self.transports:
            transport.close()
            transport.join(5 * PACE)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._undo.callback(connection.close)
            if not self._mute:
                transport = paramiko.Transport(connection)
                transport.add_server_key(self._host_key)
                self.transports.append(transport)
                transport.start_server(event=threading.Event(), server=_Server(self, self._client_key))


class _Server(paramiko.ServerInterface):
    def __init__(self, guest: FakeGuest, client_key: bytes) -> None:
        self._guest = guest
        self._client_key = client_key

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = username == "root" and key.asbytes() == self._client_key
        return paramiko.common.AUTH_SUCCESSFUL if known else paramiko.common.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if command == b"no answer":
            self._guest.released.wait(10 * PACE)
            return False

        def serve() -> None:
            channel.recv(1)  # the client closes its side once it knows that the command was started
            _COMMANDS[command](channel, self._guest)

        threading.Thread(target=serve).start()
        return True


def _hello(channel: paramiko.Channel, _: FakeGuest) -> None:
    channel.sendall(b"hello\n")
    channel.sendall_stderr(b"a warning\n")
    channel.send_exit_status(3)
    channel.close()


def _much(channel: paramiko.Channel, _: FakeGuest) -> None:
    channel.sendall_stderr(b"e" * 3_000_000)
    channel.sendall(b"o" * 3_000_000)
    channel.send_exit_status(0)
    channel.close()


def _hang(channel: paramiko.Channel, guest: FakeGuest) -> None:
    channel.sendall(b"started\n")
    channel.sendall_stderr(b"something odd\n")
    guest.released.wait(10 * PACE)


def _die(channel: paramiko.Channel, guest: FakeGuest) -> None:
    channel.sendall(b"last words\n")
    guest.transports[-1].close()


def _killed(channel: paramiko.Channel, _: FakeGuest) -> None:
    channel.close()


_COMMANDS: dict[bytes, Callable[[paramiko.Channel, FakeGuest], None]] = {
    b"hello": _hello,
    b"much": _much,
    b"hang": _hang,
    b"die": _die,
    b"killed": _killed,
}
