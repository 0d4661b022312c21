"""Forbidden system calls: which thread of a VMM made which call, when its own seccomp filter struck."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.deadline import Deadline
from harness.errors import DeadlineExceeded, HarnessError, Owner, Unavailable
from harness.host.syscalls import kernel
from harness.host.syscalls.names import command_name, system_call_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.process.child import Spawn

PATIENCE = 10.0
"""Seconds within which the tracer must have attached, or ended with the process that it traces."""


@dataclass(frozen=True)
class Violation:
    """A system call that a filter answered with a signal: who made it, its number, and its six arguments."""

    thread: str
    tid: int
    number: int
    arguments: tuple[int, ...]

    @property
    def command(self) -> int | None:
        """The command number, if the call is ioctl."""
        return self.arguments[1] & 0xFFFFFFFF if self.number == kernel.abi().ioctl else None

    def __str__(self) -> str:
        name = system_call_name(self.number)
        call = f"{name} ({self.number})" if name else f"number {self.number}"
        if self.command is not None:
            fd = self.arguments[0] & 0xFFFFFFFF
            call = f"ioctl ({self.number}) with command {command_name(self.command)} on descriptor {fd}"
        return f"thread {self.thread} made the system call {call}, which is forbidden to it"


class ViolationWatch:
    """Traces a process and records the system calls for which its seccomp filter kills it or sends SIGSYS.

    The kernel tells nobody but a tracer (ptrace(2)) of the thread, the call and its arguments: the filter's
    verdict comes before the listener of a `Supervisor`, and a log line names no command. Signals and the start
    and end of threads stop the process for some microseconds each; system calls cost nothing. A traced process
    cannot be traced by a debugger as well.

    Make the watch first, start the process, `attach`: it is then watched from its first millisecond. Use it as a
    context manager, or `close` it. It needs the right to trace the process: root, or CAP_SYS_PTRACE.
    """

    def __init__(self) -> None:
        kernel.abi()
        tracer = [sys.executable, "-I", "-S", str(Path(__file__).with_name("tracer.py"))]
        self._tracer = subprocess.Popen(tracer, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._tracer.stdin is not None
        assert self._tracer.stdout is not None
        self._orders, self._lines = self._tracer.stdin, self._tracer.stdout
        os.set_blocking(self._lines.fileno(), False)
        self._text = b""

    def attach(self, pid: int) -> None:
        """Watch this process from now on. Raises Unavailable without the right to, or if it is gone already."""
        self._orders.write(f"{pid}\n".encode())
        self._orders.flush()
        deadline = Deadline(PATIENCE)
        while not (said := self._said()):
            if self._tracer.poll() is not None:
                raise HarnessError(
                    f"the tracer of process {pid} ended with exit status {self._tracer.returncode}"
                )
            if deadline.expired():
                raise DeadlineExceeded(
                    f"waited {deadline.seconds:.0f} s for the tracer to attach to process {pid}", Owner.HOST
                )
            select.select([self._lines], [], [], deadline.remaining())
        if "refused" in said[0]:
            why = os.strerror(said[0]["refused"])
            raise Unavailable(
                f"process {pid} cannot be watched for seccomp violations ({why}): run again as root"
            )

    def violations(self) -> list[Violation]:
        """Those seen so far, oldest first. Each is here before the process can be seen to have died of it."""
        found = [line for line in self._said() if "thread" in line]
        return [Violation(**{**line, "arguments": tuple(line["arguments"])}) for line in found]

    def close(self) -> None:
        """End the watch; a process that still runs goes on untraced. Safe to call twice."""
        self._tracer.kill()
        self._tracer.wait()
        self._orders.close()
        self._lines.close()

    def __enter__(self) -> ViolationWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _said(self) -> list[dict[str, Any]]:
        """All lines that the tracer has written so far."""
        while part := self._lines.read():
            self._text += part
        return [json.loads(line) for line in self._text.split(b"\n")[:-1]]


@dataclass
class Sightings:
    """What watches over several processes saw: `violations`, oldest first, once the processes have ended.

    `refused` says why a process could not be watched, if one could not.
    """

    violations: list[Violation] = field(default_factory=list)
    refused: str = ""

    def spawn(self, argv: Sequence[str], inner: Spawn | None = None, **options: Any) -> Watched:
        """Start a process, through `inner` if somebody else is to watch it as well, and watch it from then on."""
        return Watched(self, argv, inner, options)


class Watched:
    """A process under a `ViolationWatch` from its start on: a `Watcher` of a VmmProcess. `inner` is another one."""

    def __init__(
        self, sightings: Sightings, argv: Sequence[str], inner: Spawn | None, options: dict[str, Any]
    ) -> None:
        self._sightings = sightings
        self._watch = ViolationWatch()
        try:
            self.inner = inner(argv, **options) if inner is not None else None
            self.popen = self.inner.popen if self.inner is not None else subprocess.Popen(argv, **options)
        except BaseException:
            self._watch.close()
            raise
        try:
            self._watch.attach(self.popen.pid)
        except HarnessError as error:
            sightings.refused = str(error)

    def close(self) -> None:
        """The process has ended: keep what was seen."""
        self._sightings.violations += self._watch.violations()
        self._watch.close()
        if self.inner is not None:
            self.inner.close()
