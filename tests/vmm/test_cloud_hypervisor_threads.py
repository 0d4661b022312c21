"""Threads that are being started are told from those that wait for work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from harness.deadline import wait_until
from harness.errors import Owner
from harness.vmm.cloud_hypervisor_threads import being_started

NAME = "import ctypes; ctypes.CDLL(None).prctl(15, {name!r}.encode(), 0, 0, 0); "


@contextmanager
def process(code: str, name: str = "net0_qp0") -> Iterator[int]:
    popen = subprocess.Popen([sys.executable, "-I", "-S", "-c", NAME.format(name=name) + code])
    try:
        yield popen.pid
    finally:
        popen.kill()
        popen.wait()


def test_a_thread_that_waits_is_in_place() -> None:
    with process("import select; select.epoll().poll()") as pid:
        wait_until("the thread to wait", lambda: not being_started(pid), owed_by=Owner.HOST, within=10)


def test_a_thread_that_runs_or_sleeps_elsewhere_is_not() -> None:
    locked = "import fcntl, tempfile; a = tempfile.TemporaryFile(); b = open(f'/proc/self/fd/{a.fileno()}')"
    with process(f"{locked}; fcntl.flock(a, 2); fcntl.flock(b, 2)") as pid:
        wait_until(
            "the thread to sleep in flock(2)",
            lambda: being_started(pid) == [f"net0_qp0[{pid}] in system call 73"],
            owed_by=Owner.HOST,
            within=10,
        )
    with process("\nwhile True: pass") as pid:
        wait_until(
            "the thread to run",
            lambda: being_started(pid) == [f"net0_qp0[{pid}] running"],
            owed_by=Owner.HOST,
            within=10,
        )


def test_a_vcpu_may_do_what_it_likes() -> None:
    with process("\nwhile True: pass", name="vcpu0") as pid:
        wait_until(
            "the thread to have its name", lambda: not being_started(pid), owed_by=Owner.HOST, within=10
        )


def test_two_threads_with_the_starters_name_are_one_too_many() -> None:
    code = "import threading, select; threading.Thread(target=select.epoll().poll).start(); select.epoll().poll()"
    with process(code, name="vmm") as pid:
        wait_until(
            "two threads",
            lambda: being_started(pid) == ["2 threads named vmm"],
            owed_by=Owner.HOST,
            within=10,
        )
