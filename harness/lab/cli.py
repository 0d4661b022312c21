"""ci/lab: start the lab, run commands in it, look at it, end it."""

from __future__ import annotations

import argparse
import os
import selectors
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from harness.errors import HarnessError
from harness.lab.client import Connection, Lab
from harness.lab.keeper import Limits
from harness.lab.state import sources
from harness.lab.wire import Kind, Status
from harness.program import Parser, called

FAILED = 125
"""Exit status when the lab, not the command in it, is the trouble."""
IS_DOWN = 3
END_OF_INPUT = b"\x04"
"""What Ctrl-D sends."""

USAGE = """
  up         start it and wait until it is ready; it stays up until it is ended, or unused for an hour
  run CMD    run a command in it, with the host's files at their paths, read-only; pytest starts fast there
  shell      an interactive shell in it
  status     say how it is; exit status 0 if it is up, 3 if it is not
  down       end it and leave nothing
"""


def _say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


class _Progress:
    """Tells what the lab is doing, once for each thing."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, status: Status) -> None:
        said = f": {status.console}" if status.phase == "booting" and status.console else ""
        if (text := f"{status.phase}{said}") != self._last and status.phase != "ready":
            self._last = text
            _say(f"{status.seconds:.0f} s: {text}")


def _up(lab: Lab) -> Status:
    lab.start()
    return lab.await_ready(_Progress())


def up(lab: Lab) -> int:
    """Start it and wait."""
    status = _up(lab)
    _say(f"ready after {status.seconds:.0f} s: {status.facts}")
    _say(f"it stays up until {called('lab')} down, or {Limits().idle / 60:.0f} minutes without use")
    return 0


def run(lab: Lab, argv: Sequence[str]) -> int:
    """Run a command; its output and its exit status are ours. An interrupt ends it, a second one at once."""
    _up(lab)
    connection = lab.run(argv, sources=sources())

    def interrupt(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        connection.tell(Kind.SIGNAL, number)

    signal.signal(signal.SIGINT, interrupt)
    streams = {Kind.OUTPUT: sys.stdout.buffer, Kind.ERRORS: sys.stderr.buffer}
    for message in connection.frames():
        if message.kind is Kind.EXIT:
            return message.holds(int)
        if message.kind in streams:
            streams[message.kind].write(message.payload)
            streams[message.kind].flush()
    raise AssertionError("frames end with an exception")


def shell(lab: Lab) -> int:
    """An interactive shell."""
    _up(lab)
    size = shutil.get_terminal_size()
    connection = lab.run([os.environ.get("SHELL", "/bin/sh")], terminal=(size.lines, size.columns))
    with _raw_terminal():
        return _converse(connection)


def _converse(connection: Connection) -> int:
    """Pass on what is typed and what is said, until the shell ends."""
    typed = selectors.DefaultSelector()
    typed.register(0, selectors.EVENT_READ)
    typed.register(connection, selectors.EVENT_READ)
    while True:
        for key, _ in typed.select():
            if key.fd == 0:
                data = os.read(0, 4096)
                connection.send(Kind.INPUT, data or END_OF_INPUT)
                if not data:
                    typed.unregister(0)
                continue
            for message in connection.receive():
                if message.kind is Kind.EXIT:
                    return message.holds(int)
                if message.kind is Kind.OUTPUT:
                    os.write(1, message.payload)


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Every key goes to the shell, Ctrl-C too."""
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def status(lab: Lab) -> int:
    """Say how it is."""
    found = lab.status()
    if found is None:
        print("lab: down")
        with suppress(OSError):
            print(f"it ended by itself: {lab.place.failure.read_text().strip()}")
        return IS_DOWN
    facts = f": {found.facts}" if found.facts else f": {found.console or 'nothing on the console yet'}"
    print(f"lab: {found.phase}{facts}")
    print(f"up for {found.seconds:.0f} s, runs: {found.runs}, keeper: process {found.pid}, from {found.root}")
    print(f"console: {lab.place.console}, shared folder: {lab.place.share}")
    return 0


def down(lab: Lab) -> int:
    """End it."""
    _say("ended" if lab.down() else "it was not up")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = Parser(
        "lab",
        description="A machine emulated by QEMU in which KVM works, for hosts whose own cannot run a stock kernel.",
        epilog=USAGE,
    )
    parser.add_argument("action", choices=("up", "run", "shell", "status", "down"))
    parser.add_argument("command", nargs=argparse.REMAINDER, help="with run: the command and its arguments")
    options = parser.parse_args(arguments)
    if bool(options.command) is not (options.action == "run"):
        parser.error("run takes a command, the others take nothing")
    lab = Lab()
    try:
        if options.action == "run":
            return run(lab, options.command)
        return {"up": up, "shell": shell, "status": status, "down": down}[options.action](lab)
    except HarnessError as error:
        _say(str(error))
    except KeyboardInterrupt:
        _say("interrupted; the lab stays as it is")
        return 128 + signal.SIGINT
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
