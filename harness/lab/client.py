"""How a process on the host reaches the lab: it has it started, asks how it is, and runs commands in it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from harness.checkout import PACKAGE, ROOT
from harness.deadline import PACE, Deadline, wait_until
from harness.errors import DeadlineExceeded, Owner, Unavailable
from harness.lab.state import State, environment, state
from harness.lab.visible import hidden
from harness.lab.wire import Decoder, Frame, Kind, Request, Status, frame
from harness.program import called

SILENCE = 30.0
"""Seconds without a sign of life from the keeper, who sends one every other second."""
START_SECONDS = 15.0
"""For the keeper to listen."""
DOWN_SECONDS = 15.0
READ_SIZE = 1 << 16


class LabGone(Unavailable):
    """The lab ended, or answers no more. The text has the console's last lines."""


class Connection:
    """One run in the lab. Closing it ends the run, not the lab."""

    def __init__(self, connection: socket.socket, place: State) -> None:
        self._socket = connection
        self._place = place
        self._decoder = Decoder()

    def send(self, kind: Kind, payload: bytes = b"") -> None:
        """Send a frame. Raises LabGone."""
        try:
            self._socket.sendall(Frame(0, kind, payload).packed())
        except OSError as error:
            raise self._gone(f"the lab's keeper takes no more ({error})") from None

    def tell(self, kind: Kind, content: object) -> None:
        """Send a frame whose payload is not bytes. Raises LabGone."""
        self.send(kind, frame(0, kind, content).payload)

    def receive(self) -> list[Frame]:
        """What came by now, signs of life included; waits for something. Raises LabGone when nothing more can."""
        try:
            data = self._socket.recv(READ_SIZE)
        except TimeoutError:
            raise self._gone(f"the lab's keeper has said nothing for {SILENCE * PACE:.0f} s") from None
        except ConnectionResetError:
            data = b""
        if not data:
            raise self._gone("the lab's keeper has gone")
        found = list(self._decoder.feed(data))
        for message in found:
            if message.kind is Kind.GONE:
                raise LabGone(message.holds(str))
        return found

    def settle(self) -> None:
        """Take in, unread, what has come by now. Raises LabGone if the lab has gone meanwhile."""
        while select.select([self._socket], [], [], 0)[0]:
            self.receive()

    def frames(self) -> Iterator[Frame]:
        """What comes, as it comes."""
        while True:
            yield from self.receive()

    def fileno(self) -> int:
        """For those who wait for several things at once."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _gone(self, why: str) -> LabGone:
        with suppress(OSError):
            return LabGone(self._place.failure.read_text().strip())
        return LabGone(f"{why}; the lab's console's last lines:\n{self._place.console_tail()}")


class Lab:
    """This user's lab, whether it is up or not."""

    def __init__(
        self, place: State | None = None, keeper: Sequence[str] = ("-m", "harness.lab.keeper")
    ) -> None:
        self._place = place or state()
        self._keeper = [sys.executable, *keeper]

    @property
    def place(self) -> State:
        """Its folder on the host."""
        return self._place

    def status(self) -> Status | None:
        """How it is; None if it is down. Raises LabGone if its keeper does not answer."""
        connection = self._connect()
        if connection is None:
            return None
        try:
            connection.send(Kind.STATUS)
            return next(connection.frames()).holds(Status)
        finally:
            connection.close()

    def start(self) -> None:
        """Have it started, unless it is up; return at once, while it boots.

        A lab that another checkout started, or that was started before Python's or Debian's packages changed, is
        ended and started anew. Raises Unavailable if such a lab is in use.
        """
        status = self.status()
        if status is not None and (stale := _stale(status)):
            if status.runs:
                raise Unavailable(
                    f"the lab {stale}, and is in use: try again later, or end it with {called('lab')} down"
                )
            self.down()
            status = None
        if status is None:
            self._spawn()

    def _spawn(self) -> None:
        self._place.folder.mkdir(parents=True, exist_ok=True)
        with self._place.log.open("wb") as log:
            keeper = subprocess.Popen(
                self._keeper,
                cwd="/",
                env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        def listening() -> bool:
            if self.status() is not None:
                return True
            if keeper.poll():
                if self._place.failure.exists():  # it did start, and its machine failed before anybody looked
                    raise self._failure()
                said = self._place.log.read_text(errors="replace").strip().splitlines()
                raise Unavailable(f"the lab's keeper does not start: {(said or ['no words'])[-1]}")
            return False

        wait_until("the lab's keeper to listen", listening, owed_by=Owner.HOST, within=START_SECONDS)

    def await_ready(self, tell: Callable[[Status], None] = lambda _: None) -> Status:
        """Wait until it is up; `tell` is called with every sign of life. Raises LabGone if it does not come up.

        The keeper has deadlines for each part of the way there.
        """
        while True:
            status = self.status()
            if status is None:
                raise self._failure()
            tell(status)
            if status.phase == "ready":
                return status
            time.sleep(0.2)

    def run(
        self,
        argv: Sequence[str],
        *,
        sources: str = "",
        terminal: tuple[int, int] | None = None,
        visible: Sequence[Path] = (),
    ) -> Connection:
        """Start a command, once the lab is up: in this process's folder, with its environment.

        `sources`, `terminal`, `visible`: see Request. Raises LabGone without a lab.
        """
        cwd = Path.cwd()
        request = Request(
            argv=tuple(argv),
            cwd=str(cwd),
            env=_inside(os.environ),
            sources=sources,
            terminal=terminal,
            visible=tuple(map(str, hidden([cwd, *visible]))),
        )
        connection = self._connect()
        if connection is None:
            raise self._failure()
        connection.tell(Kind.START, request)
        return connection

    def renew(self) -> Status:
        """Have another machine in place of this one, and await it: runs in this one end. Raises LabGone without one."""
        connection = self._connect()
        if connection is None:
            raise self._failure()
        connection.send(Kind.RENEW)
        connection.close()
        return self.await_ready()

    def down(self) -> bool:
        """End it, by force if it takes that, and leave nothing. Whether there was one."""
        holder = self._place.holder()
        if holder is not None:
            if (connection := self._connect()) is not None:
                with suppress(LabGone):
                    connection.send(Kind.DOWN)
            if not self._is_released(Deadline(DOWN_SECONDS)):
                with suppress(ProcessLookupError):
                    os.kill(holder, signal.SIGKILL)  # the machine is tied to it
                if not self._is_released(Deadline(DOWN_SECONDS)):
                    raise DeadlineExceeded(
                        f"waited for the lab's keeper, process {holder}, to end; it does not", Owner.HOST
                    )
            if connection is not None:
                connection.close()
        self._place.clear()
        return holder is not None

    def _is_released(self, deadline: Deadline) -> bool:
        with suppress(DeadlineExceeded):
            wait_until(
                "the lab to end",
                lambda: self._place.holder() is None,
                owed_by=Owner.HOST,
                within=deadline,
            )
            return True
        return False

    def _connect(self) -> Connection | None:
        connection = self._place.connect(SILENCE * PACE)
        return None if connection is None else Connection(connection, self._place)

    def _failure(self) -> LabGone:
        try:
            return LabGone(self._place.failure.read_text().strip())
        except OSError:
            return LabGone("the lab is down")


def _stale(status: Status) -> str:
    """Why a lab that is up is not the one that is needed; empty if it is."""
    if status.root != str(ROOT):
        return f"was started from {status.root}"
    return "was started before packages changed" if status.environment != environment() else ""


def _inside(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for the lab: ours, less what is about this run or this host alone."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("PYTEST_") and name not in ("MQ_PACE", "TMPDIR", "XDG_RUNTIME_DIR")
    }
