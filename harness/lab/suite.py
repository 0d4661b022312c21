"""One process's tests in the lab: a session there runs them, and its reports come back as they are made."""

from __future__ import annotations

import itertools
import os
import shutil
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from harness.deadline import Deadline
from harness.errors import DeadlineExceeded, Unavailable
from harness.evidence.collect import ATTRIBUTE
from harness.host.real_backends.find import given_programs
from harness.lab.client import Connection, Lab, LabGone
from harness.lab.machine import cpus
from harness.lab.reports import unpacked
from harness.lab.slots import all_slots, slot
from harness.lab.state import sources
from harness.lab.wire import Frame, Kind, Status
from harness.lab.worker import Task
from harness.run.capability import Answer, Capabilities
from harness.run.case import case_of
from harness.run.options import files, words_for_the_lab
from harness.run.session import Session

TEST_SECONDS = 900.0
"""For one test. What it waits for has deadlines of its own, multiplied by the lab's slowness."""
LAST_WORDS = 2000
"""Characters of a session's output that are shown if it ends where it should not."""

LOST = (Unavailable, DeadlineExceeded)
"""Errors after which the lab is not used any more, but for SessionGone."""


class SessionGone(Unavailable):
    """The session in the lab ended over a test, or hangs in it. The lab is there, and the next test gets a new one."""


class MachineGone(SessionGone):
    """The lab's machine ended over a test, with the sessions in it. It starts anew, for the next test."""


_numbers = itertools.count()


class LabSuite:
    """The lab's half of a run. `tests` are what will be asked for, `tell` is told how the lab comes up."""

    def __init__(
        self,
        config: pytest.Config,
        session: Session,
        items: Sequence[pytest.Item],
        tell: Callable[[Status], None],
    ) -> None:
        self._config = config
        self._session = session
        self._tests = tuple(dict.fromkeys(str(case.origin) for item in items if (case := case_of(item))))
        self._tell = tell
        self._lab = Lab()
        self._evidence = self._lab.place.share / f"run-{os.getpid()}-{next(_numbers)}"
        self._connection: Connection | None = None
        self._frames: Iterator[Frame]
        self._lines = bytearray()
        self._output = ""
        self._machine = ""
        self.lost = ""
        """Why the lab can no longer be used, if so."""

    def start(self) -> None:
        """Have the lab started. It must be called outside of the network namespace, for the lab outlives the run."""
        with suppress(*LOST), self._guarded():
            self._lab.start()

    def open(self) -> bool:
        """Await the lab, and that the session in it has collected. Whether it has; if not, `lost` says why.

        A machine that went between two tests costs neither.
        """
        if self._connection is not None:
            try:
                self._connection.settle()
            except LabGone:
                self.close()
        while self._connection is None and not self.lost:
            with suppress(*LOST), self._guarded():
                status = self._lab.await_ready(self._tell)
                with self._slot():
                    self._begin_session()
                self._machine = str(status.facts)
        return bool(self._machine)

    def run(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """Run one test there; its reports, as they come. `open` it first.

        Raises SessionGone if it cost the session, MachineGone if it cost the machine; Unavailable or DeadlineExceeded
        if the lab is lost over it, and at every later call.
        """
        if self.lost:
            raise Unavailable(self.lost)
        with self._guarded(), self._slot():
            yield from self._asked(item)
        self._bring_evidence()

    def run_afresh(self, item: pytest.Item) -> list[pytest.TestReport]:
        """Run one test once more, alone in a machine that has just started; its reports. Raises as `run`."""
        with self._guarded(), all_slots(self._lab.place.folder, cpus()):
            self.close()
            self._lab.renew()
            self._begin_session()
            reports = list(self._asked(item))
        self._bring_evidence()
        return reports

    def _asked(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        self._order({"run": item.nodeid})
        for answer in self._answers():
            if "done" in answer:
                return
            yield self._report(answer["report"])

    def close(self) -> None:
        """End the session there. The lab stays up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        shutil.rmtree(self._evidence, ignore_errors=True)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Remember why the lab was lost, if it is; hang up, whatever it is that breaks off."""
        try:
            yield
        except BaseException as error:
            self.close()
            if isinstance(error, LabGone) and self._is_back():
                raise MachineGone(f"{error}\n(the lab starts anew)") from None
            if isinstance(error, LOST) and not isinstance(error, SessionGone):
                self.lost = str(error)
            raise

    def _is_back(self) -> bool:
        """Whether the lab's keeper starts its machine anew. It tells its clients when it knows."""
        with suppress(*LOST):
            return self._lab.status() is not None
        return False

    def _slot(self) -> AbstractContextManager[None]:
        return slot(self._lab.place.folder, cpus())

    def _begin_session(self) -> None:
        self._evidence.mkdir()
        self._lines.clear()
        self._output = ""
        root, inifile = self._config.rootpath, self._config.inipath
        option = self._config.option
        given = [vmm.path for vmm in (*self._session.vmms, *self._session.legacy)]
        given += [*files(option), *given_programs(option.backend_binary).values()]
        self._connection = self._lab.run(["lab-worker"], sources=sources(), visible=[root, *given])
        self._frames = self._connection.frames()
        task = Task(
            session=self._packed_session(),
            tests=self._tests,
            options=(*words_for_the_lab(option), *_how_pytest_shows(option)),
            root=str(root),
            inifile=None if inifile is None else str(inifile),
        )
        self._order(task)
        try:
            next(self._answers())
        except SessionGone as error:
            raise LabGone(str(error)) from None

    def _packed_session(self) -> bytes:
        """The session, as the lab is to see it: everything works there, and evidence goes where it can be written."""
        able = Capabilities(*[Answer(True, "in the lab")] * 3)
        abilities = {vmm.name: able for vmm in self._session.vmms}
        return replace(self._session, capabilities=abilities, evidence=self._evidence).pack()

    def _order(self, words: object) -> None:
        assert self._connection is not None
        self._connection.send(Kind.INPUT, msgspec.json.encode(words) + b"\n")

    def _report(self, data: dict[str, Any]) -> pytest.TestReport:
        report = unpacked(self._config, data)
        if (plain := getattr(report, ATTRIBUTE, None)) is not None:
            plain["lab"] = self._machine
        return report

    def _answers(self) -> Iterator[dict[str, Any]]:
        """What the session says, as it comes. Raises SessionGone when it ends, or says nothing for TEST_SECONDS."""
        deadline = Deadline(TEST_SECONDS)
        while True:
            while b"\n" in self._lines:
                line, _, rest = self._lines.partition(b"\n")
                self._lines = rest
                yield msgspec.json.decode(line)
            message = next(self._frames)
            if message.kind is Kind.RECORD:
                self._lines += message.payload
            elif message.kind in (Kind.OUTPUT, Kind.ERRORS):
                self._output = (self._output + message.payload.decode(errors="replace"))[-LAST_WORDS:]
            elif message.kind is Kind.EXIT:
                raise SessionGone(
                    f"the session in the lab ended (exit status {message.holds(int)}); its last words:\n"
                    f"{self._output.strip() or '(none)'}"
                )
            elif deadline.expired():
                raise SessionGone(
                    f"waited {deadline.seconds:.0f} s for a test in the lab to end; the session's last words:\n"
                    f"{self._output.strip() or '(none)'}\nthe console's last lines:\n{self._lab.place.console_tail()}"
                )

    def _bring_evidence(self) -> None:
        """Move what the lab wrote to where this run's evidence is."""
        if self._session.evidence is None:
            return
        with suppress(OSError):  # a full disk costs the bundle, not the verdict
            shutil.copytree(self._evidence, self._session.evidence, dirs_exist_ok=True)
        for left in self._evidence.iterdir():
            shutil.rmtree(left, ignore_errors=True)


def _how_pytest_shows(option: Namespace) -> list[str]:
    """pytest's own options for failures, which the session in the lab must have as this one has them."""
    shown = [f"--tb={option.tbstyle}"]
    shown += ["--showlocals"] if option.showlocals else []
    return shown + (["--full-trace"] if option.fulltrace else [])


SUITE = pytest.StashKey[LabSuite]()
"""Where pytest's configuration holds the lab's half of a run that has one."""
