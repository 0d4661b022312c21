"""--park: the VMs of failed tests stay alive until somebody has looked at them, in every worker of a run.

A parked VM lives in the process that ran its test. At its end that process waits for a lock, which the main process
holds.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.record.table import pairs_table
from harness.run.session import SESSION
from harness.testbed.testbed import Testbed
from harness.testbed.ways_in import ways_in

ATTRIBUTE = "parked"
"""Where a report says how to get at the VMs that its test leaves."""
LOCK = ".parked"
"""The lock's name in the run's folder."""
PARKED = pytest.StashKey[list[Testbed]]()


def close_or_park(config: pytest.Config, bed: Testbed) -> None:
    """End a test's VMs, unless it failed and they are to be looked at."""
    if config.option.park and bed.failed and bed.vms:
        config.stash.setdefault(PARKED, []).append(bed)
    else:
        bed.close()


def looked_at(bed: Testbed, test: str) -> list[str]:
    """How to get at what a test leaves, and how its pairs stand."""
    rows = [
        row for nic in bed.nics if nic.vm.exit_status() is None and nic.driver.running for row in nic.rows()
    ]
    return [test, *ways_in(bed.vms, bed.nics), *(pairs_table(rows).splitlines() if rows else [])]


def pytest_configure(config: pytest.Config) -> None:
    """What is parked here ends before the folders that it lives in: cleanups run in reverse order."""
    config.add_cleanup(lambda: _end(config))


def _end(config: pytest.Config) -> None:
    beds = config.stash.get(PARKED, [])
    folder = config.stash[SESSION].evidence if beds else None
    if folder is not None:
        with (folder / LOCK).open("rb") as lock, suppress(KeyboardInterrupt):
            fcntl.flock(lock, fcntl.LOCK_SH)
    for bed in beds:
        bed.close()


class Parking:
    """In the main process: holds the lock, and shows the ways in when all tests have ended."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self._config = config
        self._ways: list[list[str]] = []
        self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        config.add_cleanup(self._release)

    def _release(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what a failed phase says."""
        if ways := getattr(report, ATTRIBUTE, None):
            self._ways.append(ways)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Show the ways in, and wait until somebody has seen enough. The workers still live."""
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if self._ways and reporter is not None:
            reporter.section("parked")
            for ways in self._ways:
                reporter.write_line("\n".join(ways) + "\n")
            with suppress(KeyboardInterrupt, EOFError):
                self._wait(reporter)
        self._release()

    def _wait(self, reporter: Any) -> None:
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        if capture is not None:
            capture.suspend(in_=True)
        if sys.stdin is not None and sys.stdin.isatty():
            reporter.write_line(f"{len(self._ways)} tests left their VMs. Enter ends them:")
            sys.stdin.readline()
        else:
            ends = {signal.SIGINT, signal.SIGTERM}
            before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
            reporter.write_line(f"{len(self._ways)} tests left their VMs. `kill {os.getpid()}` ends them.")
            reporter.flush()  # nobody can end what is still in a pipe's buffer
            while (
                signal.sigtimedwait(ends, 0.5) is None
            ):  # another thread may have taken it: then Python is told here
                pass
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
