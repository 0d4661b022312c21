"""A supervisor records every TUNSETQUEUE with its true result, and changes nothing."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from harness.host.syscalls import Action, Outcome, let_run

if TYPE_CHECKING:
    from tests.host.syscalls.conftest import MakeStandIn


def test_a_call_is_recorded_with_thread_descriptor_tap_action_and_result(stand_in: MakeStandIn) -> None:
    child = stand_in()
    child.detach(2, thread="n0_ctrl")
    (call,) = child.calls
    assert (call.thread, call.tap, call.action) == ("n0_ctrl", "t0", Action.DETACH)
    assert call.caller.pid == child.popen.pid != call.caller.tid
    assert call.caller.fd in child.tell("descriptors", "t0", 2)
    assert (call.outcome, call.answer, len(call.effects)) == (Outcome.ANSWERED, 0, 1)
    assert f"DETACH fd {call.caller.fd} of t0 -> ok [" in str(call)


def test_the_kernel_does_what_was_asked(stand_in: MakeStandIn) -> None:
    child = stand_in()
    child.detach(3, 2, 1)
    assert child.attached() == {0}
    child.attach(1)
    assert child.attached() == {0, 1}
    assert [call.action for call in child.calls] == [Action.DETACH] * 3 + [Action.ATTACH]


def test_the_kernels_refusal_is_told_and_recorded(stand_in: MakeStandIn) -> None:
    child = stand_in()
    assert child.detach(2, 2) == [0, errno.EINVAL]
    assert [call.answer for call in child.calls] == [0, errno.EINVAL]
    assert "-> EINVAL" in str(child.calls[1])


def test_a_call_through_a_duplicate_means_the_same_queue(stand_in: MakeStandIn) -> None:
    child = stand_in()
    assert child.detach(2, copy=1) == [0]
    assert child.attached() == {0, 1, 3}


@pytest.mark.parametrize("fd", [999, -1])
def test_a_descriptor_that_is_not_open_gets_the_kernels_answer(stand_in: MakeStandIn, fd: int) -> None:
    child = stand_in()
    assert child.tell("call_fd", fd, "detach") == errno.EBADF
    assert (child.calls[0].tap, child.calls[0].caller.fd) == ("", fd)


def test_a_descriptor_of_another_kind_gets_the_kernels_answer(stand_in: MakeStandIn) -> None:
    child = stand_in()
    assert child.tell("call_fd", 1, "detach") == errno.ENOTTY
    assert child.calls[0].tap == ""


def test_flags_that_are_neither_attach_nor_detach_are_left_to_the_kernel(stand_in: MakeStandIn) -> None:
    child = stand_in()
    child.detach(1)
    assert child.tell("call", "t0", "neither", [0]) == [errno.EINVAL]
    assert child.tell("call", "t0", "both", [1]) == [0]
    assert child.attached() == {0, 1, 2, 3}
    assert [call.outcome for call in child.calls[1:]] == [Outcome.LET_RUN] * 2


def test_an_address_that_is_not_mapped_is_left_to_the_kernel(stand_in: MakeStandIn) -> None:
    child = stand_in()
    assert child.tell("call_unmapped", "t0") == errno.EFAULT
    assert child.calls[0].action is None


def test_a_call_that_is_let_run_has_the_same_effect_and_no_known_result(stand_in: MakeStandIn) -> None:
    child = stand_in(let_run())
    assert child.detach(3, 3) == [0, errno.EINVAL]
    assert child.attached() == {0, 1, 2}
    assert [(call.outcome, call.answer) for call in child.calls] == [(Outcome.LET_RUN, None)] * 2


def test_a_child_of_the_process_is_watched_too(stand_in: MakeStandIn) -> None:
    child = stand_in()
    pid, results = child.tell("forked", "t0", "detach", [1])
    assert results == [0]
    assert child.calls[0].caller.pid == pid != child.popen.pid
    assert child.attached() == {0, 2, 3}


def test_marks_are_entered_in_the_calls_that_follow(stand_in: MakeStandIn) -> None:
    child = stand_in()
    child.detach(1)
    child.supervisor.mark("DRIVER_OK")
    child.attach(1)
    assert [call.marks for call in child.calls] == [(), ("DRIVER_OK",)]
    assert [call.grown for call in child.calls] == [False, False]
    child.detach(1)
    assert child.calls[-1].grown
