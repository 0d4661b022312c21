"""A VMM's process: its output kept in a file, its end noticed, and never outliving the test process."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from harness.bounded import MIB, read_tail
from harness.deadline import PACE
from harness.errors import DeadlineExceeded, Owner, Unavailable, VmmDied
from harness.printable import printable
from harness.process import log_cap
from harness.process.exit_status import FROM_OUTSIDE, ExitStatus
from harness.process.last_words import own_words
from harness.process.log_clock import LogClock
from harness.process.oom import oom_kills
from harness.process.tether import tied

COMMAND = "command.txt"
"""The file beside a log that holds the command line."""

OUTPUT = 4 * MIB
"""Bytes of a log that are looked at: its end."""

TAIL_LINES = 12
LONGEST = 4096
"""Bytes of a line in a message."""


def _environment() -> dict[str, str]:
    """The environment of a VMM: ours, less what changes its behaviour.

    With RUST_BACKTRACE set, taking a backtrace in a worker thread trips cloud-hypervisor's seccomp filter.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("RUST_")}


def _new_log(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        raise Unavailable(f"cannot write the VMM's log {path} ({error.strerror}): is there room?") from error


class Watcher(Protocol):
    """Who started a process and stays with it until it has ended."""

    @property
    def popen(self) -> subprocess.Popen[Any]:
        """The process."""

    def close(self) -> None:
        """It has ended: let go of it."""


class Spawn(Protocol):
    """Starts a process as subprocess.Popen would, with the same options, and watches it."""

    def __call__(self, argv: Sequence[str], **options: Any) -> Watcher:
        """Start it."""


class VmmProcess:
    """One process, started at once. `log` collects what it prints; `spawn` starts it, if somebody is to watch it.

    `folder` is the working folder (None: that of the test process). `terminal`: a descriptor that is its standard input
    and output, where a VMM has a guest's serial port there; what it says then on standard error goes to `log`.

    The kernel kills it when the thread that started it ends, however that comes about: see `tied`.
    Raises Unavailable without setpriv, or if `log` cannot be written. A program that cannot be executed ends at
    once, with the reason in `log`.
    """

    def __init__(
        self,
        argv: Sequence[str],
        log: Path,
        *,
        folder: Path | None = None,
        terminal: int | None = None,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        spawn: Spawn | None = None,
    ) -> None:
        self.clock = LogClock(log, time.monotonic())
        """Notes the log's length at times that matter, so that its lines can be placed on the host's clock."""
        self.argv = list(argv)
        self._log = log
        self.watcher: Watcher | None = None
        """Who started it, if it is watched."""
        self._asked_to_end = False
        self.end_is_known = False
        """Whether somebody was told of its end: see `died`."""
        self._oom_kills = oom_kills()
        command = tied(argv)
        with _new_log(log) as output:
            log.with_name(COMMAND).write_text(
                shlex.join(argv) + "\n"
            )  # for whoever looks into a failed start
            options: dict[str, Any] = {
                "stdin": subprocess.DEVNULL if terminal is None else terminal,
                "stdout": output if terminal is None else terminal,
                "stderr": output,
                "cwd": folder,
                "pass_fds": tuple(pass_fds),
                "env": _environment() | dict(environment or {}),
            }
            if spawn is None:
                self._popen = subprocess.Popen(command, **options)
            else:
                self.watcher = spawn(command, **options)
                self._popen = self.watcher.popen
        log_cap.watch(log)

    @property
    def pid(self) -> int:
        """The process id: the VMM's own, for every wrapper executes the next."""
        return self._popen.pid

    @property
    def log(self) -> Path:
        """The file that holds what it prints."""
        return self._log

    def output(self) -> str:
        """What the process printed so far, the last OUTPUT bytes; NUL bytes, which some logs hold, are dropped."""
        return self._end(OUTPUT)

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of the output, fit to be shown."""
        last = self._end(lines * LONGEST).strip().splitlines()[-lines:]
        return printable("\n".join(line[:LONGEST] for line in last))

    def _end(self, limit: int) -> str:
        return read_tail(self._log, limit)[1].replace(b"\0", b"").decode(errors="replace")

    def seccomp_modes(self) -> dict[int, int]:
        """Each thread's seccomp mode by its id: 0 none, 2 filter (proc_pid_status(5))."""
        found = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                lines = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
                found[int(task.name)] = int(lines["Seccomp"])
        return found

    def open_descriptors(self) -> int:
        """How many files the process has open."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def exit_status(self) -> ExitStatus | None:
        """How it ended; None while it runs."""
        code = self._popen.poll()
        return None if code is None else ExitStatus.of(code)

    def expect_end(self) -> None:
        """It was asked for something after which it ends by itself."""
        self._asked_to_end = True

    def ended_unasked(self) -> ExitStatus | None:
        """How it ended, if it did and nobody had asked it to."""
        return None if self._asked_to_end else self.exit_status()

    def died(self, name: str, status: ExitStatus, doing: str) -> VmmDied:
        """The error for a process that ended where it should have lived.

        Its text has signal or status first, and then the process's own line about its end, if it left one.
        """
        self.end_is_known = True
        output = self.output()
        if status.code in FROM_OUTSIDE:
            kills = oom_kills() - self._oom_kills
            who = (
                f"the kernel's OOM killer struck {kills} times meanwhile" if kills else "by somebody outside"
            )
            words = f"no VMM does that to itself: {who}"
        elif own := own_words(output):
            words = f"it said: {own}"
        else:
            words = f"its last words: {self.tail() or '(none)'}"
        return VmmDied(f"{name} died ({status}) {doing}; {words}", status.code, output)

    def wait(self, seconds: float, owed_by: Owner = Owner.VMM) -> ExitStatus:
        """Wait for the end. Raises DeadlineExceeded if it does not come."""
        try:
            self._popen.wait(seconds * PACE)
        except subprocess.TimeoutExpired:
            program = Path(self.argv[0]).name
            raise DeadlineExceeded(
                f"waited {seconds * PACE:.1f} s for process {self.pid} ({program}) to end; it still runs",
                owed_by,
            ) from None
        status = self.exit_status()
        assert status is not None
        return status

    def stop(self) -> None:
        """Kill it if it still runs, and reap it. Raises DeadlineExceeded for a process that cannot be killed."""
        if self._popen.poll() is None:
            self.expect_end()
        self._popen.kill()
        self.wait(10, Owner.HOST)
        log_cap.unwatch(self._log)
        if self.watcher is not None:
            self.watcher.close()
