"""One run in the lab, seen from the agent: a child process and the pipes, or the terminal, to it."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from harness.lab.preload import forget
from harness.lab.wire import RECORDS, Kind, Request

READ_SIZE = 1 << 16
CANNOT_EXECUTE = 127
KEPT = ("MQ_PACE", "PYTHONDONTWRITEBYTECODE")
"""What the lab's environment says, whatever that of the command does."""


def _pytest() -> int:
    import pytest

    return int(pytest.console_main())


def _worker() -> int:
    from harness.lab import worker

    return worker.main()


PRELOADED: dict[str, Callable[[], int]] = {"pytest": _pytest, "lab-worker": _worker}
"""Programs that run in a fork of the agent, with all that it has imported. All others are executed."""


class Run:
    """A running command. `outlets` are descriptors to read from, by what comes out of them."""

    def __init__(self, request: Request, own_sources: str) -> None:
        inputs, outputs, errors, records = (os.pipe() for _ in range(4))
        ours = [inputs[1], outputs[0], errors[0], records[0]]
        theirs = [inputs[0], outputs[1], errors[1], records[1]]
        if request.terminal is not None:
            master, slave = pty.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *request.terminal, 0, 0))
            theirs[:3] = [slave] * 3
            ours[:2] = [os.dup(master), master]
        self.pid = os.fork()
        if self.pid == 0:
            _be(request, theirs, stale=bool(request.sources) and request.sources != own_sources)
        for descriptor in {*inputs, *outputs, *errors, *records, *theirs} - set(ours):
            os.close(descriptor)
        self.input = ours[0]
        self.outlets = {ours[1]: Kind.OUTPUT, ours[2]: Kind.ERRORS, ours[3]: Kind.RECORD}
        self._unread = bytearray()
        for descriptor in ours:
            os.set_blocking(descriptor, False)

    def write(self, data: bytes = b"") -> bool:
        """Give the command input; whether some of it must wait until `input` can be written again."""
        self._unread += data
        try:
            while self._unread:
                del self._unread[: os.write(self.input, self._unread)]
        except BlockingIOError:
            return True
        except OSError:  # it reads no input, or no more
            self._unread.clear()
        return False

    def read(self, outlet: int) -> bytes | None:
        """What came out of an outlet; empty if nothing did by now, None at its end."""
        try:
            return os.read(outlet, READ_SIZE) or None
        except BlockingIOError:
            return b""
        except OSError:  # of a terminal: nobody has it open any more
            return None

    def signal(self, number: int) -> None:
        """Send a signal to all processes of the command's group."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Let go of the pipes, and end what the command left in its group."""
        self.signal(signal.SIGKILL)
        for descriptor in (self.input, *self.outlets):
            os.close(descriptor)


def exit_code(status: int) -> int:
    """What waitpid answers, as a shell counts."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _be(request: Request, descriptors: list[int], *, stale: bool) -> NoReturn:
    """In the child: become the command."""
    code = CANNOT_EXECUTE
    try:
        _take(request, descriptors)
        program = PRELOADED.get(os.path.basename(request.argv[0]))  # noqa: PTH119
        if program is None:
            os.execvp(request.argv[0], request.argv)
        if stale:
            forget()
        sys.argv = list(request.argv)
        code = program()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except OSError as error:
        os.write(2, f"{request.argv[0]}: {error.strerror}\n".encode())
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        code = 1
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _take(request: Request, descriptors: list[int]) -> None:
    """A session, descriptors, signals, folder and environment of its own."""
    os.setsid()
    if request.terminal is not None:
        fcntl.ioctl(descriptors[0], termios.TIOCSCTTY, 0)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # out of the way first: one of them may have the number that another is to get
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 64) for descriptor in descriptors]
    for target, descriptor in enumerate(high):
        os.dup2(descriptor, target)
    for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208
        if descriptor > RECORDS:
            with suppress(OSError):  # the one that listed them
                os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", 1), open(2, "w", 1)  # noqa: SIM115
    own = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(request.env | own)
    os.chdir(request.cwd)
