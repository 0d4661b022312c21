"""The host's end of a guest's serial port, with everything that came kept as a transcript."""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from harness.deadline import Deadline, wait_until
from harness.errors import DeadlineExceeded, GuestError, Owner
from harness.printable import printable

TRANSCRIPT_LIMIT = 1 << 20
"""Bytes of the transcript that are kept: the newest."""

LONGEST = 4096
"""Bytes of a line in a message."""

LINE_LIMIT = 1 << 18
"""Bytes of a line that has no end."""

SETTLE = 2.0
"""Seconds between a VMM's sockets closing and its end, at most."""


class Line(Protocol):
    """What of a stream socket a serial port uses: a socket, or something that behaves like one."""

    def setblocking(self, flag: bool, /) -> None:
        """Whether calls wait."""

    def fileno(self) -> int:
        """The descriptor."""

    def send(self, data: memoryview, /) -> int:
        """Bytes taken."""

    def recv(self, size: int, /) -> bytes:
        """Bytes that came; nothing once the other end has hung up."""

    def close(self) -> None:
        """Hang up."""


class SerialPort:
    """Reads and writes a guest's serial port.

    `alive` is called when the line is silent, and may raise; `why_closed` says what the VMM knows of a line that it
    closed although it lives, or nothing.
    """

    def __init__(
        self,
        connection: Line,
        alive: Callable[[str], None],
        why_closed: Callable[[], str] = lambda: "",
    ) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._alive = alive
        self._why_closed = why_closed
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._pending = bytearray()
        self.transcript = bytearray()

    def fileno(self) -> int:
        """The socket's descriptor, to wait on together with others."""
        return self._socket.fileno()

    def send(self, data: bytes, *, within: float = 5.0) -> None:
        """Write all of `data`. Raises DeadlineExceeded if the guest takes none of it for that long."""
        deadline = Deadline(within)
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                self._wait(
                    select.POLLOUT, deadline, f"the guest to take {len(view)} more bytes on its serial port"
                )
            except OSError as error:
                self._settle("writing to its serial port")
                raise GuestError(f"the serial port is closed ({error.strerror})") from error

    def read_line(self, *, within: float | Deadline, awaiting: str) -> bytes:
        """The next line, without its end. `awaiting` completes "waited 2 s for ..."."""
        deadline = within if isinstance(within, Deadline) else Deadline(within)
        searched = 0
        while (end := self._pending.find(b"\n", searched)) < 0:
            searched = len(self._pending)
            if searched > LINE_LIMIT:
                size = f"{LINE_LIMIT >> 10} KiB"
                raise GuestError(f"a line of more than {size} came while the suite awaited {awaiting}")
            self._receive(deadline, awaiting)
        line = bytes(self._pending[:end]).rstrip(b"\r")
        del self._pending[: end + 1]
        return line

    def drain(self) -> bytes:
        """What has come and was not read yet, without waiting: of a guest that never stops, a part."""
        with suppress(BlockingIOError, ConnectionError):
            while len(self._pending) < TRANSCRIPT_LIMIT and (data := self._socket.recv(65536)):
                self._keep(data)
        taken = bytes(self._pending)
        self._pending.clear()
        return taken

    def await_close(self, *, within: float, awaiting: str) -> None:
        """Wait until the other end hangs up; what it still says is kept in the transcript."""
        deadline = Deadline(within)
        while True:
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                self._wait(select.POLLIN, deadline, awaiting)
                continue
            except ConnectionError:
                return
            if not data:
                return
            self._keep(data)
            del self._pending[:-LINE_LIMIT]
            self._in_time(deadline, awaiting)

    def tail(self, lines: int = 20) -> str:
        """The last lines of the transcript, for messages."""
        last = self.transcript[-lines * LONGEST :].decode(errors="replace").splitlines()[-lines:]
        return printable("\n".join(line[:LONGEST] for line in last))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _keep(self, data: bytes) -> None:
        self._pending += data
        self.transcript += data
        del self.transcript[:-TRANSCRIPT_LIMIT]

    def _receive(self, deadline: Deadline, awaiting: str) -> None:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            self._wait(select.POLLIN, deadline, awaiting)
            return
        except ConnectionError:
            data = b""
        if not data:
            self._settle(f"the suite awaited {awaiting}")
            why = self._why_closed()
            raise GuestError(
                f"the VMM closed the serial port while the suite awaited {awaiting} "
                f"({why or 'did the guest reset?'}); "
                f"it had said: {self.tail(5)!r}"
            )
        self._keep(data)
        self._in_time(deadline, awaiting)

    def _settle(self, doing: str) -> None:
        """A line that breaks off is how a dying VMM shows first: give its end a moment to be seen."""
        with suppress(DeadlineExceeded):
            wait_until("the VMM's end", lambda: self._alive(doing), owed_by=Owner.VMM, within=SETTLE)

    def _wait(self, event: int, deadline: Deadline, awaiting: str) -> None:
        """Wait for the socket in short turns, so that a VMM that died silently is noticed."""
        self._poll.modify(self._socket, event)
        if self._poll.poll(min(deadline.remaining(), 0.25) * 1000):
            return
        self._alive(f"the suite awaited {awaiting}")
        self._in_time(deadline, awaiting)

    def _in_time(self, deadline: Deadline, awaiting: str) -> None:
        if deadline.expired():
            raise DeadlineExceeded(
                f"waited {deadline.seconds:.1f} s for {awaiting}; the serial port's last words: {self.tail(5)!r}",
                Owner.GUEST,
            )
