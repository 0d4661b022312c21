"""Workers of xdist that end, or stand still, over a test: the test could not judge, and says how its worker ended.

Each worker notes in the run's folder what it is doing. The main process reads that where a worker ends, and looks
after those that stand still: a stopped process would hold the run up for ever.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from harness import interrupts
from harness.deadline import PACE
from harness.errors import HarnessError
from harness.evidence.bundle import Content, write_bundle
from harness.evidence.collect import ATTRIBUTE
from harness.evidence.judge import Judge
from harness.process.child import COMMAND
from harness.record.results import Result, to_dict
from harness.record.store import write_atomically
from harness.run.case import case_of

FOLDER = "under-way"
STANDS_STILL = 10.0
"""Seconds for which a worker may be stopped by a signal."""
HANGS = 3600.0
"""Seconds that no test takes, in the lab neither."""
LOOK_EVERY = 0.5


class UnderWay(msgspec.Struct, frozen=True):
    """A test that a worker is running, with what would be recorded if the worker ended over it."""

    nodeid: str
    worker: str
    pid: int
    scratch: str
    """The worker's folder for sockets and logs."""
    begun: float
    """time.time()."""
    result: Result
    machine: str = ""
    """The start of the machine on which its process is: workers may be elsewhere."""


class Announcing:
    """In a worker: notes the test that it runs."""

    def __init__(self, evidence: Path, worker: str, scratch: Path, judge: Judge) -> None:
        self._file = evidence / FOLDER / f"{worker}.json"
        self._worker, self._scratch, self._judge = worker, scratch, judge
        self._file.parent.mkdir(parents=True, exist_ok=True)  # on another machine nobody made them

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Note it, and take the note away once the test is over."""
        if (case := case_of(item)) is not None:
            under_way = UnderWay(
                item.nodeid,
                self._worker,
                os.getpid(),
                str(self._scratch),
                time.time(),
                self._judge.unfinished(item, case),
                machine(),
            )
            with suppress(OSError):  # a full disk costs the note, not the test
                write_atomically(self._file, msgspec.json.encode(under_way))
        yield
        self._file.unlink(missing_ok=True)


class Watching:
    """In the main process: records the tests whose workers ended, and ends workers that stand still."""

    def __init__(self, evidence: Path, *, parks: bool) -> None:
        self._evidence = evidence
        self._parks = parks
        self._nodes: list[Any] = []
        self._ended: dict[int, str] = {}
        """Processes that were ended here, and why."""
        self._stopped_since: dict[int, float] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="worker-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the watchdog; the notes go."""
        self._closing.set()
        self._thread.join(2 * LOOK_EVERY)
        for note in self._notes():
            note.unlink(missing_ok=True)
        with suppress(OSError):
            (self._evidence / FOLDER).rmdir()

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionstart(self) -> Iterator[None]:
        """Start the workers. A signal to any of them, or to us, waits until there is somebody to handle it."""
        with interrupts.held():
            try:
                yield
            except EOFError:
                why = "a worker ended while it was being started, and not by itself: run again"
                raise pytest.exit.Exception(why, pytest.ExitCode.INTERNAL_ERROR) from None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Know the workers."""
        self._nodes.append(node)

    def pytest_keyboard_interrupt(self) -> None:
        """End the workers at once: what they have judged is written down, and all that they started ends with them.

        Parked VMs are still to be looked at.
        """
        for popen in map(_process_of, [] if self._parks else self._nodes):
            if popen is not None:
                popen.kill()

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Make the report of a test whose worker crashed carry a result."""
        under_way = next((found for found in self._under_way() if found.nodeid == crashitem), None)
        if under_way is None:
            return
        node = getattr(report, "node", None)
        why = self._ended.get(under_way.pid) or f"its process {under_way.pid} {_end_of(node)}"
        reason = f"the worker {under_way.worker} ended over this test: {why}"
        result = replace(under_way.result, reason=reason, details=reason)
        with suppress(HarnessError):  # a full disk costs the bundle, not the verdict
            files = {
                "failure.txt": reason,
                "rerun.sh": result.rerun + "\n",
                **_left_by(Path(under_way.scratch)),
            }
            folder = write_bundle(self._evidence / "failures", result, files)
            result = replace(result, bundle=str(folder.relative_to(self._evidence)))
        report.longrepr = f"{reason}\nrun this again: {result.rerun}"
        setattr(report, ATTRIBUTE, to_dict(result))

    def _notes(self) -> list[Path]:
        return sorted((self._evidence / FOLDER).glob("*.json"))

    def _under_way(self) -> Iterator[UnderWay]:
        for note in self._notes():
            with suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):  # it may go meanwhile
                yield msgspec.json.decode(note.read_bytes(), type=UnderWay)

    def _watch(self) -> None:
        while not self._closing.wait(LOOK_EVERY):
            for under_way in self._under_way():
                if why := self._stands_still(under_way):
                    self._ended[under_way.pid] = why
                    with suppress(ProcessLookupError):
                        os.kill(under_way.pid, signal.SIGKILL)

    def _stands_still(self, under_way: UnderWay) -> str:
        """Why a worker is ended; empty while it may go on. One of another machine is for that one to judge."""
        if under_way.pid in self._ended or under_way.machine != machine():
            return ""
        if time.time() - under_way.begun > HANGS * PACE:
            return f"it took more than {HANGS * PACE:.0f} s, and was ended"
        if not _is_stopped(under_way.pid):
            self._stopped_since.pop(under_way.pid, None)
            return ""
        since = self._stopped_since.setdefault(under_way.pid, time.monotonic())
        if time.monotonic() - since < STANDS_STILL * PACE:
            return ""
        return f"it was frozen (SIGSTOP) for {STANDS_STILL * PACE:.0f} s, and was ended"


@lru_cache(maxsize=1)
def machine() -> str:
    """This start of this machine (random(4), boot_id)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _is_stopped(pid: int) -> bool:
    """Whether a signal has stopped the process (proc_pid_stat(5): T)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False


def _process_of(node: Any) -> Any:
    """The process behind an xdist node, if it is one of this machine."""
    return getattr(getattr(getattr(node, "gateway", None), "_io", None), "popen", None)


def _end_of(node: Any) -> str:
    """How the process behind an xdist node ended, as far as it can be told."""
    popen = _process_of(node)
    if popen is None:
        return "ended"
    try:
        code = popen.wait(2)
    except Exception:  # execnet's own, and none of ours to judge
        return "ended"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"


def _left_by(scratch: Path) -> dict[str, Content]:
    """The logs and command lines of the VMMs that the worker had."""
    found: dict[str, Content] = {}
    for log in sorted(scratch.glob("*/vm*/vmm.log")):
        for file in (log, log.with_name(COMMAND)):
            if file.is_file():
                found[str(file.relative_to(scratch))] = file
    return found
