"""Threads that are slow to start: those that are meant, for as long as is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.host.syscalls.conftest import MakeStandIn

SLOW = 0.2


def test_a_thread_of_that_name_gets_its_loop_late_and_others_at_once(stand_in: MakeStandIn) -> None:
    child = stand_in()
    with child.supervisor.slow_start(SLOW, "net0_qp*"):
        assert child.tell("loop_starts_after", "net0_qp1") >= SLOW
        assert child.tell("loop_starts_after", "net0_ctrl") < SLOW
    assert child.tell("loop_starts_after", "net0_qp1") < SLOW


def test_such_a_start_is_no_call_of_the_record(stand_in: MakeStandIn) -> None:
    child = stand_in()
    child.tell("loop_starts_after", "any")
    assert child.supervisor.calls == []
