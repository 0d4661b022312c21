"""The filter lives with others: those of the process, of its surroundings, and with signals."""

from __future__ import annotations

import errno
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.deadline import PACE
from harness.host.syscalls import Supervisor, available, delay, missing

if TYPE_CHECKING:
    from tests.host.syscalls.conftest import MakeStandIn

ALLOW, RET_ERRNO, TRAP, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x00030000, 0x80000000


def test_what_the_processs_own_filter_allows_arrives(stand_in: MakeStandIn) -> None:
    child = stand_in()
    assert child.tell("restrict", ALLOW) == 0
    assert child.detach(1) == [0]
    assert len(child.calls) == 1


def test_what_the_processs_own_filter_refuses_never_arrives(stand_in: MakeStandIn) -> None:
    child = stand_in()
    assert child.tell("restrict", RET_ERRNO | errno.EACCES) == 0
    assert child.detach(1) == [errno.EACCES]
    assert child.calls == []


@pytest.mark.parametrize("action", [TRAP, KILL_PROCESS])
def test_what_the_processs_own_filter_forbids_kills_it_and_never_arrives(
    stand_in: MakeStandIn, action: int
) -> None:
    child = stand_in()
    assert child.tell("restrict", action) == 0
    with pytest.raises(EOFError):
        child.detach(1)
    assert child.popen.wait(5 * PACE) == -31
    assert child.calls == []


def test_signals_neither_interrupt_nor_double_a_call_that_waits(stand_in: MakeStandIn) -> None:
    child = stand_in(delay(0.2))
    results, signals = child.tell("kicked", "t0", "detach", [1])
    assert results == [0]
    assert signals > 0
    assert len(child.calls) == 1


def test_under_another_listener_the_reason_is_given() -> None:
    program = "from harness.host.syscalls import missing; print(missing())"
    with Supervisor([sys.executable, "-c", program], stdout=subprocess.PIPE) as supervisor:
        said, _ = supervisor.popen.communicate(timeout=20 * PACE)
    assert b"already runs under another seccomp listener" in said


def test_without_the_right_to_filter_privileges_are_given_up_for_it() -> None:
    program = (
        "from harness.host.syscalls import Supervisor;"
        "print(Supervisor(['grep', 'NoNewPrivs', '/proc/self/status']).popen.wait(10));"
        "print(*(line for line in open('/proc/self/status') if 'NoNewPrivs' in line))"
    )
    weak = [
        "setpriv",
        "--bounding-set=-sys_admin",
        "--inh-caps=-sys_admin",
        "--",
        sys.executable,
        "-c",
        program,
    ]
    said = subprocess.run(weak, capture_output=True, timeout=20 * PACE, check=True).stdout
    assert [line.split(b"\t")[-1] for line in said.split(b"\n")] == [b"1", b"0", b"0", b"", b""]


def test_with_the_right_to_filter_privileges_stay(stand_in: MakeStandIn) -> None:
    stand_in()
    with Supervisor(["grep", "NoNewPrivs", "/proc/self/status"], stdout=subprocess.PIPE) as supervisor:
        said, _ = supervisor.popen.communicate(timeout=10 * PACE)
    assert said == b"NoNewPrivs:\t0\n"


def test_the_probe_agrees_with_what_happens() -> None:
    assert available() == (missing() is None)
