"""The process that owns the lab on the host: it starts the machine, passes frames on, and watches that it answers.

It outlives the run that started it. It ends, with the machine, when it is told to, when nobody used the lab for a
while, or when the machine ends or answers no more; then it says why. A machine that is lost over a run is started
anew for the runs to come, a few times: what runs in it can end it, and should not end all that waits behind it.
"""

from __future__ import annotations

import asyncio
import compileall
import itertools
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.checkout import PACKAGE, ROOT
from harness.deadline import PACE
from harness.errors import HarnessError
from harness.lab.image import lab_image
from harness.lab.machine import command_line
from harness.lab.registers import in_short, registers
from harness.lab.state import State, environment, state
from harness.lab.wire import Decoder, Facts, Frame, Kind, Request, Status, frame

READ_SIZE = 1 << 16
FAILED = "lab failed: "
"""How a line of the console begins by which the machine itself says that it cannot go on."""

RENEWED = "a client asked for another machine"


@dataclass(frozen=True)
class Limits:
    """Seconds, before PACE."""

    boot: float = 240.0
    """For each step on the way until the agent is ready."""
    silence: float = 45.0
    """Without a word from the agent."""
    idle: float = 3600.0
    """Without a run; not subject to PACE."""
    beat: float = 2.0
    """Between two signs of life."""
    mercy: float = 10.0
    """For a run to end after its client has gone."""
    renewals: float = 3
    """Not seconds: how often a machine that is lost over a run is started anew."""


Command = Callable[[int], Sequence[str]]
"""The command line of a machine, given the descriptor by which its agent is reached."""


class Keeper:
    """One lab, from its start to its end. `prepare` may take long; its answer starts the machine."""

    def __init__(self, place: State, prepare: Callable[[], Command], limits: Limits = Limits()) -> None:
        self._place = place
        self._prepare = prepare
        self._limits = limits
        self._phase = "fetching"
        self._environment = environment()
        self._begin = self._heard = self._used = time.monotonic()
        self._facts: Facts | None = None
        self._ready = asyncio.Event()
        self._renewals = limits.renewals
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._abandoned: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._agent: asyncio.StreamWriter
        self._clients: dict[int, asyncio.StreamWriter] = {}
        self._numbers = itertools.count(1)

    async def serve(self) -> str:
        """Live until the end. Answers why it came, if nobody asked for it, and nothing otherwise."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._finish, "")
        os.chdir(self._place.folder)  # the address of a socket is short
        server = await asyncio.start_unix_server(self._serve_client, self._place.address.name)
        tasks = [asyncio.create_task(self._live()), asyncio.create_task(self._watch())]
        for task in tasks:
            task.add_done_callback(self._ended)
        try:
            reason = await self._end
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            server.close()
        text = self._with_console(reason or "the lab was taken down")
        if reason:
            self._place.failure.write_text(text + "\n")
        for writer in self._dismiss(text):
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.drain(), 1)
        return reason

    def _with_console(self, reason: str) -> str:
        return f"{reason}; its console's last lines:\n{self._place.console_tail()}"

    def _dismiss(self, text: str) -> list[asyncio.StreamWriter]:
        """Tell every run that its machine is gone, and hang up."""
        writers = list(self._clients.values())
        self._clients.clear()
        for writer in writers:
            self._pass_on(writer, frame(0, Kind.GONE, text))
            writer.close()
        return writers

    def _finish(self, reason: str) -> None:
        if not self._end.done():
            self._end.set_result(reason)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._finish(f"the lab's keeper failed: {error}")

    # The machine

    async def _live(self) -> None:
        """One machine after another, until one is not to be followed by another."""
        while not self._end.done():
            try:
                self._lose(await self._machine())
            except HarnessError as error:
                self._finish(str(error))

    def _lose(self, reason: str) -> None:
        """A machine is gone. Whoever had a run in it is told, and the next one starts; otherwise it is the end."""
        if reason != RENEWED:
            if not (self._facts and self._clients and self._renewals):
                self._finish(reason)
                return
            self._renewals -= 1
        self._dismiss(self._with_console(reason))
        self._facts, self._phase = None, "fetching"
        self._ready.clear()
        self._begin = time.monotonic()

    async def _machine(self) -> str:
        """Start the machine and hear its agent, until it ends or is abandoned. Answers what became of it."""
        command = await asyncio.to_thread(self._prepare)
        ours, theirs = socket.socketpair()
        self._abandoned = asyncio.get_running_loop().create_future()
        argv = command(theirs.fileno())
        self._phase, self._heard = "booting", time.monotonic()
        with theirs:
            machine = await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        reader, self._agent = await asyncio.open_unix_connection(sock=ours)
        hearing = asyncio.create_task(self._hear(reader))
        try:
            await asyncio.wait((hearing, self._abandoned), return_when=asyncio.FIRST_COMPLETED)
            if self._abandoned.done():
                return self._abandoned.result() + await self._cpus()
            hearing.result()
            with suppress(TimeoutError):
                await asyncio.wait_for(machine.wait(), 1)
            how = "hung up" if machine.returncode is None else f"ended (exit status {machine.returncode})"
            return f"the lab's machine {how}{self._complaint()}"
        finally:
            hearing.cancel()
            self._agent.close()
            with suppress(ProcessLookupError):
                machine.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(machine.wait(), 3)
            with suppress(ProcessLookupError):
                machine.kill()
            await machine.wait()

    def _abandon(self, reason: str) -> None:
        if not self._abandoned.done():
            self._abandoned.set_result(reason)

    async def _cpus(self) -> str:
        """Where the CPUs are of a machine that is to be ended because it does not answer."""
        if self._abandoned.result() == RENEWED or not (
            said := await registers(Path(self._place.monitor.name))
        ):
            return ""
        self._place.registers.write_text(said)
        return f"; {in_short(said)} (all registers: {self._place.registers})"

    def _complaint(self) -> str:
        """What QEMU said, if anything."""
        with suppress(OSError):
            if said := self._place.log.read_text(errors="replace").strip():
                return f": {said.splitlines()[-1]}"
        return ""

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        decoder = Decoder()
        with suppress(ConnectionResetError):
            while data := await reader.read(READ_SIZE):
                self._heard = time.monotonic()
                for message in decoder.feed(data):
                    self._take(message)

    def _take(self, message: Frame) -> None:
        """Act on a frame from the agent."""
        if message.kind is Kind.IMPORTING:
            self._phase = f"importing {message.holds(str)}"
        elif message.kind is Kind.READY:
            self._facts, self._phase = message.holds(Facts), "ready"
            self._ready.set()
        elif (writer := self._clients.get(message.run)) is not None:
            self._pass_on(writer, message)
            if message.kind is Kind.EXIT:
                self._forget(message.run)
                writer.close()

    async def _watch(self) -> None:
        """Look, at every beat, whether the lab still is what it should be, and tell all who wait for it."""
        while True:
            await asyncio.sleep(self._limits.beat)
            now = time.monotonic()
            if self._clients:
                self._used = now
            silent = now - self._heard
            patience = self._limits.silence if self._facts else self._limits.boot
            if self._phase != "fetching" and silent > patience * PACE:
                self._abandon(f"the lab has not answered for {silent:.0f} s ({self._phase})")
            if self._phase == "booting" and (why := self._own_failure()):
                self._abandon(f"the lab cannot start: {why}")
            if self._facts:
                self._agent.write(Frame(0, Kind.PING).packed())
            if now - self._used > self._limits.idle:
                self._finish("")
            for writer in self._clients.values():
                self._pass_on(writer, frame(0, Kind.STATUS, self._status()))

    def _own_failure(self) -> str:
        """What the machine itself says that keeps it from starting; the kernel may have had words after it."""
        said = self._place.console_tail().splitlines()
        return next((line.removeprefix(FAILED) for line in said if line.startswith(FAILED)), "")

    def _last_words(self) -> str:
        return self._place.console_tail(1)

    def _status(self) -> Status:
        return Status(
            phase=self._phase,
            seconds=time.monotonic() - self._begin,
            root=str(ROOT),
            environment=self._environment,
            facts=self._facts,
            runs=len(self._clients),
            console=self._last_words(),
            pid=os.getpid(),
        )

    # Clients

    def _pass_on(self, writer: asyncio.StreamWriter, message: Frame) -> None:
        if not writer.is_closing():
            writer.write(message.packed())

    def _forget(self, run: int) -> None:
        self._clients.pop(run, None)
        self._used = time.monotonic()

    async def _serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a question, or a run from its request to its end."""
        decoder = Decoder()
        run = 0
        try:
            while data := await reader.read(READ_SIZE):
                for message in decoder.feed(data):
                    if message.kind is Kind.STATUS:
                        self._pass_on(writer, frame(0, Kind.STATUS, self._status()))
                    elif message.kind is Kind.DOWN:
                        self._finish("")
                    elif message.kind is Kind.RENEW:
                        self._facts, self._phase = None, "fetching"
                        self._abandon(RENEWED)
                    elif message.kind is Kind.START and not run:
                        run = await self._start(message.holds(Request), writer)
                    elif run in self._clients:
                        self._tell(run, message.kind, message.payload)
        except (HarnessError, ConnectionError) as error:
            print(f"a client's connection broke off: {error}", file=sys.stderr)
        finally:
            if run in self._clients:
                self._end_run(run)
            writer.close()

    async def _start(self, request: Request, writer: asyncio.StreamWriter) -> int:
        run = next(self._numbers)
        self._clients[run] = writer  # it is told how the lab is from now on
        await self._ready.wait()
        self._tell(run, Kind.START, frame(run, Kind.START, request).payload)
        return run

    def _tell(self, run: int, kind: Kind, payload: bytes) -> None:
        self._agent.write(Frame(run, kind, payload).packed())

    def _end_run(self, run: int) -> None:
        """End a run whose client has gone: by an interrupt first, that it may clean up."""
        if self._ready.is_set():
            self._tell(run, Kind.SIGNAL, frame(run, Kind.SIGNAL, int(signal.SIGINT)).payload)
            kill = frame(run, Kind.SIGNAL, int(signal.SIGKILL)).payload
            asyncio.get_running_loop().call_later(
                self._limits.mercy * PACE, self._tell, run, Kind.SIGNAL, kill
            )
        self._forget(run)


async def _keep(place: State) -> str:
    def prepare() -> Command:
        compileall.compile_dir(PACKAGE, quiet=2)  # the lab would take a minute for it
        image = lab_image()
        return lambda port: command_line(image, place, port)

    return await Keeper(place, prepare).serve()


def main() -> int:
    """Be the keeper of this user's lab, unless there is one."""
    place = state()
    try:
        lock = place.hold()
    except BlockingIOError:
        return 0
    try:
        reason = asyncio.run(_keep(place))
        if not reason:
            place.clear()
        return 1 if reason else 0
    finally:
        os.close(lock)


if __name__ == "__main__":
    sys.exit(main())
