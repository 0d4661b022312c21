"""Frames that are struck on their way between a process and its tap."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from harness.host.syscalls import Direction, FrameFault, FramesToo, Trace

if TYPE_CHECKING:
    from tests.host.syscalls.conftest import MakeStandIn


def test_so_many_frames_are_struck(stand_in: MakeStandIn) -> None:
    child = stand_in(FramesToo(Trace()))
    fault = FrameFault(Direction.TO_HOST, errno.ENOBUFS, times=2, tap="t0")
    with child.supervisor.struck(fault):
        struck = [child.tell("frame", "t0", 1, "write") for _ in range(3)]
    assert struck[:2] == [-errno.ENOBUFS] * 2
    assert struck[2] != -errno.ENOBUFS
    assert fault.struck == 2
    assert child.tell("frame", "t0", 1, "write") == struck[2]


def test_a_length_is_told_without_a_frame(stand_in: MakeStandIn) -> None:
    child = stand_in(FramesToo(Trace()))
    with child.supervisor.struck(FrameFault(Direction.TO_GUEST, length=5, tap="t0")):
        assert child.tell("frame", "t0", 0, "read") == 5


def test_other_taps_and_calls_are_let_alone(stand_in: MakeStandIn) -> None:
    child = stand_in(FramesToo(Trace()))
    child.tell("open_tap", "t1", 1)
    fault = FrameFault(Direction.TO_HOST, errno.ENOBUFS, tap="t1")
    with child.supervisor.struck(fault):
        assert child.tell("frame", "t0", 0, "write") != -errno.ENOBUFS
        assert child.detach(1) == [0]
    assert [call.answer for call in child.calls] == [0]
    assert fault.struck == 0
