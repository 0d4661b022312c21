"""A forbidden system call is reported with its thread, its name and its command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from harness.deadline import PACE
from harness.errors import Unavailable
from harness.host.syscalls import Violation, ViolationWatch
from harness.host.syscalls.names import command_name, system_call_name
from harness.host.tun import TUNSETQUEUE

if TYPE_CHECKING:
    from tests.host.syscalls.conftest import MakeStandIn, StandIn

TRAP, KILL_PROCESS, RET_ERRNO = 0x00030000, 0x80000000, 0x00050001
X86_IOCTL = 16


@pytest.fixture
def watch() -> Iterator[ViolationWatch]:
    with ViolationWatch() as made:
        yield made


@pytest.fixture
def watched(stand_in: MakeStandIn, watch: ViolationWatch) -> StandIn:
    child = stand_in()
    watch.attach(child.popen.pid)
    return child


@pytest.mark.parametrize("action", [TRAP, KILL_PROCESS])
def test_thread_call_command_and_descriptor_are_told(
    watched: StandIn, watch: ViolationWatch, action: int
) -> None:
    fd = watched.tell("descriptors", "t0", 2)[0]
    watched.tell("restrict", action)
    with pytest.raises(EOFError):
        watched.detach(2, thread="net0_ctrl")
    assert watched.popen.wait(5 * PACE) == -signal.SIGSYS
    (violation,) = watch.violations()
    assert (violation.thread, violation.command, violation.arguments[0]) == ("net0_ctrl", TUNSETQUEUE, fd)
    assert violation.tid != watched.popen.pid
    assert "thread net0_ctrl" in str(violation)
    assert f"with command TUNSETQUEUE (0x400454d9) on descriptor {fd}" in str(violation)


def test_the_guilty_thread_is_told_from_many(watched: StandIn, watch: ViolationWatch) -> None:
    watched.tell("idle_threads", 8)
    watched.tell("restrict", KILL_PROCESS)
    with pytest.raises(EOFError):
        watched.detach(2, thread="guilty")
    assert [violation.thread for violation in watch.violations()] == ["guilty"]


def test_a_handler_of_the_processs_own_still_runs(watched: StandIn, watch: ViolationWatch) -> None:
    watched.tell("restrict", TRAP)
    assert watched.tell("trapped", "t0") == [signal.SIGSYS]
    assert len(watch.violations()) == 1


def test_what_is_no_violation_is_not_reported(watched: StandIn, watch: ViolationWatch) -> None:
    watched.tell("restrict", RET_ERRNO)
    assert watched.tell("kicked", "t0", "detach", [1])[0] == [1]
    assert watched.tell("forked", "t0", "attach", [1])[1] == [1]
    os.kill(watched.popen.pid, signal.SIGSYS)
    assert watched.popen.wait(5 * PACE) == -signal.SIGSYS
    assert watch.violations() == []


def test_a_traced_process_keeps_its_exit_status(watch: ViolationWatch) -> None:
    program = "import sys, threading; threading.Thread(target=sys.stdin.read).start(); sys.exit(7)"
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", program], stdin=subprocess.PIPE) as popen:
        watch.attach(popen.pid)
        popen.communicate(timeout=10 * PACE)
        assert popen.returncode == 7


def test_a_stopped_process_stays_stopped_and_goes_on(watched: StandIn) -> None:
    watched.popen.send_signal(signal.SIGSTOP)
    _, status = os.waitpid(watched.popen.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    watched.send("call", "t0", "detach", [1])
    assert not watched.speaks(within=0.2)
    watched.popen.send_signal(signal.SIGCONT)
    assert watched.answer() == [0]


def test_a_process_outlives_its_watch(watched: StandIn, watch: ViolationWatch) -> None:
    watch.close()
    assert watched.detach(1) == [0]


def test_a_process_that_is_gone_cannot_be_watched(watch: ViolationWatch) -> None:
    with subprocess.Popen(["true"]) as popen:
        popen.wait()
    with pytest.raises(Unavailable, match=f"process {popen.pid} cannot be watched"):
        watch.attach(popen.pid)


def test_a_call_without_a_name_is_told_by_its_number() -> None:
    said = str(Violation("vmm", 12, 999_999, (0,) * 6))
    assert said == "thread vmm made the system call number 999999, which is forbidden to it"


def test_numbers_have_names() -> None:
    if system_call_name(0) is None:
        pytest.skip("libseccomp.so.2 is not installed: system calls are shown by number")
    assert system_call_name(999_999) is None
    assert "ioctl" in {system_call_name(X86_IOCTL), system_call_name(29)}
    assert command_name(0x1234) == "0x1234"
