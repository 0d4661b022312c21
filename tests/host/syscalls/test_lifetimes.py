"""Whatever ends first, process or supervisor, nothing hangs, nothing is hidden, and nothing stays behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.deadline import PACE, wait_until
from harness.errors import HarnessError, Owner
from harness.host.syscalls import (
    DETACH,
    Action,
    Call,
    Operation,
    Outcome,
    Rule,
    Supervisor,
    Verdict,
    delay,
    postpone,
)
from harness.process.tether import tied

if TYPE_CHECKING:
    from tests.host.syscalls.conftest import MakeStandIn

LONG = 60.0


class Broken:
    def decide(self, call: Call, earlier: Sequence[Call]) -> Verdict:
        raise ZeroDivisionError("a policy's own mistake")


def test_a_policy_that_raises_is_reported_and_the_process_gets_enosys(stand_in: MakeStandIn) -> None:
    child = stand_in(Broken())
    assert child.detach(1, 2) == [errno.ENOSYS] * 2
    with pytest.raises(HarnessError, match="policy's own mistake"):
        child.supervisor.check()
    with pytest.raises(HarnessError, match="policy's own mistake"):
        child.close()


def test_an_operation_that_the_kernel_refuses_is_the_policys_fault(stand_in: MakeStandIn) -> None:
    child = stand_in(Rule(Verdict((Operation(999, Action.DETACH),), answer=0)))
    assert child.detach(1) == [errno.ENOSYS]
    with pytest.raises(HarnessError, match="DETACH fd 999: EBADF"):
        child.close()


def test_an_injected_policy_that_raises_shows_where_it_was_injected(stand_in: MakeStandIn) -> None:
    child = stand_in()
    with pytest.raises(HarnessError, match="policy's own mistake"), child.supervisor.inject(Broken()):
        child.detach(1)
    with pytest.raises(HarnessError):
        child.close()


def test_a_failure_does_not_hide_the_error_under_way(stand_in: MakeStandIn) -> None:
    child = stand_in(Broken())
    child.detach(1)
    with pytest.raises(KeyError) as caught, child.supervisor:
        raise KeyError("what the test was about")
    assert "policy's own mistake" in caught.value.__notes__[0]


def test_without_its_supervisor_a_process_gets_enosys(stand_in: MakeStandIn) -> None:
    child = stand_in()
    assert child.detach(1) == [0]
    child.supervisor.close()
    assert child.detach(2) == [errno.ENOSYS]
    assert child.attached() == {0, 2, 3}


def test_a_call_that_waits_when_the_supervisor_closes_gets_enosys(stand_in: MakeStandIn) -> None:
    child = stand_in(delay(LONG))
    child.send("call", "t0", "detach", [1])
    wait_until("the call to arrive", lambda: child.calls, owed_by=Owner.HOST, within=5)
    child.supervisor.close()
    assert child.answer() == [errno.ENOSYS]
    assert child.calls[0].outcome is Outcome.CALLER_GONE


def test_a_process_that_dies_during_its_call_is_no_failure(stand_in: MakeStandIn) -> None:
    child = stand_in(delay(LONG))
    child.send("call", "t0", "detach", [1])
    wait_until("the call to arrive", lambda: child.calls, owed_by=Owner.HOST, within=5)
    child.popen.kill()
    assert child.popen.wait(5 * PACE) == -9
    child.supervisor.close()
    assert (child.calls[0].outcome, child.calls[0].answer) == (Outcome.CALLER_GONE, None)


def test_a_process_that_dies_while_it_is_judged_is_no_failure(stand_in: MakeStandIn) -> None:
    class Killer:
        def decide(self, call: Call, earlier: Sequence[Call]) -> Verdict | None:
            child.popen.kill()
            child.popen.wait(5 * PACE)
            return None

    child = stand_in(Killer())
    child.send("call", "t0", "detach", [1])
    wait_until(
        "the caller to be lost",
        lambda: child.calls and not child.supervisor.running,
        owed_by=Owner.HOST,
        within=5,
    )
    assert child.calls[0].outcome is Outcome.CALLER_GONE
    child.supervisor.check()


def test_a_child_of_the_process_that_dies_during_its_call_is_no_failure(stand_in: MakeStandIn) -> None:
    child = stand_in(delay(0.2, nth=1))
    child.send("forked", "t0", "detach", [1])
    wait_until("the call to arrive", lambda: child.calls, owed_by=Owner.HOST, within=5)
    os.kill(child.calls[0].caller.pid, signal.SIGKILL)
    assert child.answer() == []
    wait_until(
        "the caller to be missed",
        lambda: child.calls[0].outcome is Outcome.CALLER_GONE,
        owed_by=Owner.HOST,
        within=5,
    )
    assert child.detach(2) == [0]


def test_a_postponed_call_of_a_dead_process_is_dropped_and_frees_its_queue(stand_in: MakeStandIn) -> None:
    child = stand_in(postpone(LONG))
    before = _open_descriptors()
    assert child.detach(1) == [0]
    child.popen.kill()
    wait_until("the supervisor to end", lambda: not child.supervisor.running, owed_by=Owner.HOST, within=5)
    assert child.calls[0].effects == []
    assert not any("tun" in target for target in _open_descriptors() - before)


def test_a_program_that_does_not_exist_raises_what_popen_raises() -> None:
    before = _leftovers()
    with pytest.raises(FileNotFoundError):
        Supervisor(["/nonexistent/vmm"])
    wait_until(
        "everything to be given back",
        lambda: _leftovers() == before,
        owed_by=Owner.HOST,
        within=5,
        last=_leftovers,
    )


def test_a_finished_process_keeps_its_exit_status() -> None:
    with Supervisor([sys.executable, "-I", "-S", "-c", "raise SystemExit(7)"]) as supervisor:
        assert supervisor.popen.wait(10 * PACE) == 7
    assert supervisor.calls == []


def test_a_process_tied_to_its_parent_lives_until_the_supervisor_closes() -> None:
    with Supervisor(tied(["sleep", "60"])) as supervisor:
        with pytest.raises(subprocess.TimeoutExpired):
            supervisor.popen.wait(0.2)
        supervisor.close()
        assert supervisor.popen.wait(5 * PACE) == -9


def test_nothing_stays_behind(stand_in: MakeStandIn) -> None:
    stand_in().close()
    before = _leftovers()
    child = stand_in(delay(0.01, DETACH))
    child.detach(1, 2, 3)
    child.close()
    assert _leftovers() == before


def test_this_process_is_not_filtered(stand_in: MakeStandIn) -> None:
    stand_in()
    lines = Path("/proc/self/status").read_text().splitlines()
    assert [line for line in lines if line.startswith("Seccomp:")] == ["Seccomp:\t0"]


def _open_descriptors() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{entry.name} -> {entry.readlink()}")
        except FileNotFoundError:
            continue
    return found


def _leftovers() -> tuple[int, list[str]]:
    return len(_open_descriptors()), sorted(thread.name for thread in threading.enumerate())
