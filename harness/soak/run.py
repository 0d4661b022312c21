"""One run of the suite, observed from outside: its processes, what it says, what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from harness.deadline import PACE, wait_until
from harness.errors import DeadlineExceeded, Owner
from harness.invocation import words
from harness.process.tether import tied
from harness.record.results import Run
from harness.record.runs import folders, run_of
from harness.soak import leftovers, processes
from harness.soak.leftovers import Before

GONE_WITHIN = 5.0
"""Seconds after its end in which nothing of a run may be left."""
LOOK_EVERY = 0.02


class ObservedRun:
    """A run in a folder of its own for temporary files, in a session of its own. A context manager: leaving ends it.

    `output` is the file that gets what it prints.
    """

    def __init__(
        self, arguments: Sequence[str], report: Path, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.report = report
        self.token = processes.new_token()
        self.output = folder / "output.txt"
        self._temporary = folder / "tmp"
        self._temporary.mkdir(parents=True)
        self._before = Before.look()
        self._earlier = folders(report)[:1]
        own = {
            **environment,
            processes.TOKEN: self.token,
            "TMPDIR": str(self._temporary),
            "PYTHONUNBUFFERED": "1",
        }
        command = words(["-v", "--color=no", "-p", "no:cacheprovider", "--report", str(report), *arguments])
        with self.output.open("wb") as output:
            self._popen = subprocess.Popen(
                tied(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **own},
                start_new_session=True,
            )
        self.begun = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in processes.of_run(self.token):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        self._popen.wait()

    @property
    def main(self) -> int:
        """Its main process."""
        return self._popen.pid

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    def look(self) -> list[processes.Process]:
        """Its processes, now."""
        return processes.of_run(self.token)

    def said(self) -> str:
        """What it has printed by now."""
        return self.output.read_text(errors="replace")

    def wait(self, seconds: float) -> bool:
        """Await its end; whether it came."""
        try:
            self._popen.wait(seconds * PACE)
        except subprocess.TimeoutExpired:
            return False
        return True

    def left(self) -> list[str]:
        """What it has left by now."""
        self._popen.poll()  # else the main process is a zombie, which is nobody's fault
        return leftovers.left(self.token, self._temporary, self._before)

    def await_nothing_left(self) -> list[str]:
        """Wait until nothing is left; what there still is if that takes too long."""
        with suppress(DeadlineExceeded):
            wait_until(
                "nothing to be left of the run",
                lambda: not self.left(),
                owed_by=Owner.HOST,
                within=GONE_WITHIN,
            )
            return []
        return self.left()

    def found(self) -> Run | None:
        """What it judged, as far as it came; None if it did not come as far as a folder for that."""
        newest = folders(self.report)[:1]
        return run_of(newest[0]) if newest and newest != self._earlier else None
