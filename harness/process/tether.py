"""A command that runs others: it ends with whoever started it, and is asked to before it is made to."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from harness.deadline import wait_until
from harness.errors import DeadlineExceeded, Owner, Unavailable

_END_GROUP = """trap 'trap - TERM; kill -TERM 0' TERM; "$@" & wait $!"""
GRACE = 20.0
"""Seconds that a command has to clean up after itself before it is killed."""


def tied(command: Sequence[str], number: str = "KILL") -> list[str]:
    """`command` as this process is to start it: the signal `number` ends it when the thread that started it ends.

    That is PR_SET_PDEATHSIG (prctl(2)), of which the kernel knows nothing before the child has asked for it. A parent
    that has ended by then is found out by its process id, and `command` does not begin.
    A program that cannot be executed ends at once, with a line that says why. Raises Unavailable without setpriv.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise Unavailable("the program setpriv is missing: apt-get install util-linux")
    begin = f'[ "$PPID" = {os.getpid()} ] && exec "$@"'
    return [setpriv, "--pdeathsig", number, "--", "sh", "-c", begin, "cannot start", *command]


def tethered(command: Sequence[str]) -> list[str]:
    """`command` as this process is to start it, in a group of its own: the group ends with this process."""
    return tied(["sh", "-c", _END_GROUP, "tether", *command], "TERM")


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
    with subprocess.Popen(tethered(command), start_new_session=True, text=True, **options) as process:
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
            wait_until("the processes to end", gone, owed_by=Owner.HOST, within=GRACE)
            return
