"""A command that runs others: it ends with whoever started it, and is asked to before it is made to."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from harness.deadline import wait_until
from harness.errors import DeadlineExceeded, Owner

_TETHER = """trap 'trap - TERM; kill -TERM 0' TERM; "$@" & wait $!"""
TETHER = ("setpriv", "--pdeathsig", "TERM", "--", "sh", "-c", _TETHER, "tether")
"""Before a command: ends its whole group when the process that started it ends, even by SIGKILL."""
GRACE = 20.0
"""Seconds that a command has to clean up after itself before it is killed."""


_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent() -> None:
    """From now on the kernel kills this process when the thread that started it ends (prctl(2))."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def run_tethered(
    command: Sequence[str], *, within: float, **options: Any
) -> subprocess.CompletedProcess[str]:
    """subprocess.run in a process group of its own. However it is left, the group is asked to end, and then made to.

    Raises subprocess.TimeoutExpired after `within` seconds.
    """
    with subprocess.Popen([*TETHER, *command], start_new_session=True, text=True, **options) as process:
        try:
            out, errors = process.communicate(timeout=within)
        finally:
            if process.poll() is None:
                end_group(process)
    return subprocess.CompletedProcess(list(command), process.returncode, out, errors)


def end_group(process: subprocess.Popen[Any]) -> None:
    """Ask the whole group to end, and then make it; it may have to end others first."""

    def gone() -> bool:
        if process.poll() is None:
            return False
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(DeadlineExceeded):
            wait_until("the processes to end", gone, owed_by=Owner.HOST, within=GRACE, every=0.01)
            return
