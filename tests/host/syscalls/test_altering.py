"""Policies fail, swallow, delay, postpone, misreport and replace chosen calls."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from harness.deadline import wait_until
from harness.errors import Owner
from harness.host.syscalls import (
    ATTACH,
    DETACH,
    Action,
    Call,
    Operation,
    Outcome,
    Rule,
    Verdict,
    by_thread,
    delay,
    fail,
    misreport,
    on_tap,
    postpone,
    since,
    swallow,
)

if TYPE_CHECKING:
    from tests.host.syscalls.conftest import MakeStandIn

BRIEF = 0.2


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EPERM, errno.EBUSY])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_the_nth_call_fails_with_the_chosen_error_and_does_nothing(
    stand_in: MakeStandIn, code: int, nth: int
) -> None:
    child = stand_in(fail(code, DETACH, nth))
    assert child.detach(3, 2, 1) == [code if k == nth else 0 for k in (1, 2, 3)]
    assert child.attached() == {0, 4 - nth}
    assert child.calls[nth - 1].effects == []


def test_without_a_number_every_call_of_the_kind_fails_and_others_are_done(stand_in: MakeStandIn) -> None:
    child = stand_in(fail(errno.EPERM, ATTACH))
    assert child.detach(3, 2) == [0, 0]
    assert child.attach(2, 3) == [errno.EPERM] * 2
    assert child.attached() == {0, 1}


def test_a_swallowed_call_succeeds_and_does_nothing(stand_in: MakeStandIn) -> None:
    child = stand_in(swallow(DETACH, nth=1))
    assert child.detach(3, 2) == [0, 0]
    assert child.attached() == {0, 1, 3}
    assert "-> ok (in truth: nothing done)" in str(child.calls[0])


def test_a_delayed_call_is_done_and_returns_after_the_delay(stand_in: MakeStandIn) -> None:
    child = stand_in(delay(BRIEF, nth=1))
    child.send("call", "t0", "detach", [1])
    wait_until("the call to arrive", lambda: child.calls, owed_by=Owner.HOST, within=5)
    assert child.calls[0].outcome is Outcome.PENDING
    assert child.answer() == [0]
    assert child.calls[0].seconds >= BRIEF
    assert child.calls[0].effects[0].time >= child.calls[0].time + BRIEF


def test_a_delayed_call_does_not_hold_up_other_threads(stand_in: MakeStandIn) -> None:
    child = stand_in(delay(BRIEF, nth=1))
    child.tell("at_once", "t0", "detach", [1, 2, 3])
    first, *others = [call.seconds for call in child.calls]
    assert first >= BRIEF > max(others)
    assert child.attached() == {0}


def test_a_postponed_call_succeeds_at_once_and_is_done_later(stand_in: MakeStandIn) -> None:
    child = stand_in(postpone(BRIEF, DETACH))
    assert child.detach(3) == [0]
    call = child.calls[0]
    wait_until("the detach to be done", lambda: call.effects, owed_by=Owner.HOST, within=5)
    assert child.attached() == {0, 1, 2}
    assert call.effects[0].time >= call.time + BRIEF > call.time + call.seconds


def test_postponed_calls_keep_their_order(stand_in: MakeStandIn) -> None:
    child = stand_in(postpone(BRIEF))
    assert child.detach(3, 2) + child.attach(3) == [0, 0, 0]
    wait_until("the last call to be done", lambda: child.calls[-1].effects, owed_by=Owner.HOST, within=5)
    assert [call.effects[0].error for call in child.calls] == [0, 0, 0]
    assert child.attached() == {0, 1, 3}


def test_a_postponed_call_means_the_queue_that_the_descriptor_was_then(stand_in: MakeStandIn) -> None:
    child = stand_in(postpone(BRIEF))
    child.detach(3, copy=1)
    child.tell("close_copies", "t0")
    wait_until("the call to be done", lambda: child.calls[0].effects, owed_by=Owner.HOST, within=5)
    assert child.attached() == {0, 1, 2}


def test_a_call_can_be_done_and_reported_as_an_error(stand_in: MakeStandIn) -> None:
    child = stand_in(misreport(errno.EBUSY, DETACH))
    assert child.detach(3) == [errno.EBUSY]
    assert child.attached() == {0, 1, 2}
    assert "-> EBUSY (in truth: DETACH fd" in str(child.calls[0])


def test_an_error_can_be_reported_as_success(stand_in: MakeStandIn) -> None:
    child = stand_in(misreport(0))
    assert child.detach(3, 3) == [0, 0]
    assert [call.effects[0].error for call in child.calls] == [0, errno.EINVAL]


def test_something_else_can_be_done_than_was_asked(stand_in: MakeStandIn) -> None:
    class OtherQueue:
        def decide(self, call: Call, earlier: Sequence[Call]) -> Verdict:
            return Verdict((Operation(call.caller.fd - 1, Action.DETACH),), answer=0)

    child = stand_in(OtherQueue())
    assert child.detach(3) == [0]
    assert child.attached() == {0, 1, 3}


def test_a_rule_chooses_by_thread_tap_and_mark(stand_in: MakeStandIn) -> None:
    child = stand_in(fail(errno.EPERM, by_thread("*_ctrl") & on_tap("t1") & since("DRIVER_OK")))
    child.tell("open_tap", "t1", 2)
    assert child.detach(1, tap="t1", thread="n1_ctrl") == [0]
    child.supervisor.mark("DRIVER_OK")
    assert child.attach(1, tap="t1", thread="n1_ctrl") == [errno.EPERM]
    assert child.attach(1, tap="t1", thread="vmm") == [0]
    assert child.detach(1, tap="t0", thread="n0_ctrl") == [0]


def test_a_fault_can_be_injected_for_a_while_and_counts_from_there(stand_in: MakeStandIn) -> None:
    child = stand_in()
    child.detach(3, 2)
    with child.supervisor.inject(fail(errno.EBUSY, DETACH, nth=1)):
        assert child.detach(1) == [errno.EBUSY]
        assert child.detach(1) == [0]
    assert child.attach(1, 2, 3) == [0, 0, 0]


def test_an_injected_fault_without_an_opinion_leaves_the_call_to_the_policy_before(
    stand_in: MakeStandIn,
) -> None:
    child = stand_in(swallow(ATTACH))
    child.detach(3)
    with child.supervisor.inject(fail(errno.EBUSY, DETACH)):
        assert child.attach(3) == [0]
        assert child.detach(1) == [errno.EBUSY]
    assert child.detach(1) == [0]
    assert child.attached() == {0, 2}


def test_the_truth_cannot_be_told_before_it_is_known() -> None:
    with pytest.raises(ValueError, match="give an answer"):
        Verdict(operate_after=1.0)


def test_conditions_combine_and_say_what_they_are() -> None:
    rule = Rule(Verdict(), (ATTACH | DETACH) & ~by_thread("vmm"), nth=2)
    assert str(rule.when) == "((attach or detach) and not by thread vmm)"
