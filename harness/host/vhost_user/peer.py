"""Who is at the other end of a socket path: awaited, read, written to, and lost."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

from harness.host.vhost_user.endpoints import Endpoint
from harness.host.vhost_user.loop import READABLE, Loop
from harness.host.vhost_user.wire import Message, Receiver, send

RETRY = 0.01
"""Seconds between two attempts to connect to a peer that listens."""

BATCH = 64
"""Messages that are handled before others in the loop get their turn."""


class Peer:
    """At most one connection at a time, of those that an endpoint yields.

    Everything here runs in the loop's thread, or with its lock held.
    """

    def __init__(self, endpoint: Endpoint, loop: Loop) -> None:
        self.endpoint = endpoint
        self._loop = loop
        self._socket: socket.socket | None = None
        self._receiver: Receiver | None = None
        self._connected: Callable[[], None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._socket is not None

    def await_connection(self, connected: Callable[[], None]) -> None:
        """Have `connected` called as soon as there is a connection."""
        self._connected = connected
        listener = self.endpoint.fileno()
        if listener is None:
            self._loop.later(0, self._attempt)
        else:
            self._loop.watch(listener, lambda _: self._attempt())

    def _attempt(self) -> None:
        if self._connected is None:
            return
        listener, connection = self.endpoint.fileno(), self.endpoint.attempt()
        if connection is None:
            if listener is None:
                self._loop.later(RETRY, self._attempt)
            return
        if listener is not None:
            self._loop.unwatch(listener)
        self._socket, self._receiver = connection, Receiver(connection)
        connected, self._connected = self._connected, None
        connected()

    def watch(self, handle: Callable[[], None]) -> None:
        """Have `handle` called whenever there is something to read."""
        assert self._socket is not None, "only who is connected has anything to say"
        self._loop.watch(self._socket.fileno(), lambda _: handle())

    def listen(self, on: bool) -> None:
        """Whether to watch for what it says; that it hangs up is noticed all the same."""
        if self._socket is not None:
            self._loop.change(self._socket.fileno(), READABLE if on else 0)

    def messages(self) -> Iterator[Message]:
        """What has arrived, a BATCH at most. Raises ConnectionLost at its end, Malformed."""
        for _ in range(BATCH):
            message = self._receiver.next() if self._receiver else None
            if message is None:
                return
            yield message

    def send(self, message: Message) -> None:
        """Send it, if there is a connection. Raises ConnectionLost."""
        if self._socket is not None:
            send(self._socket, message)

    def drop(self) -> None:
        """End the connection, or stop waiting for one."""
        listener = self.endpoint.fileno()
        if self._connected is not None and listener is not None:
            self._loop.unwatch(listener)
        if self._socket is not None and self._receiver is not None:
            self._loop.unwatch(self._socket.fileno())
            self._receiver.close()
            self._socket.close()
        self._socket = self._receiver = self._connected = None
