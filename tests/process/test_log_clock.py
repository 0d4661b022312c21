"""Lines of a log on the host's clock: no effect stands before its cause, however late the program's clock began."""

from __future__ import annotations

from itertools import pairwise
from math import inf, isinf
from pathlib import Path

import pytest

from harness.process.log_clock import LogClock, Stamped

EXECUTED = 100.0
LATE = 1.5
"""Seconds between the execution of a program on a busy host and the beginning of its own clock."""


class Program:
    """Writes lines into its log, and stamps them by a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.log.touch()
        self.clock = LogClock(self.log, EXECUTED)
        self.lines: list[Stamped] = []

    def writes(self, text: str, at: float) -> None:
        with self.log.open("a") as file:
            file.write(text)
        self.lines.append(Stamped(self.log.stat().st_size, at - EXECUTED - LATE, text))

    def placed(self) -> dict[str, float]:
        return {text: at for at, text in self.clock.place(self.lines)}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def test_an_effect_stands_after_its_cause_and_before_the_answer(program: Program) -> None:
    program.writes("starts", at=101.6)
    program.clock.note(102.0)  # the guest asks
    program.writes("asked for 2 pairs", at=102.01)
    program.clock.note(102.02)  # the guest is answered
    program.writes("goes on", at=105.0)
    placed = program.placed()
    assert 102.0 < placed["asked for 2 pairs"] < 102.02
    assert placed["starts"] < 102.0
    assert placed["goes on"] == pytest.approx(105.0, abs=0.02)
    assert program.clock.uncertainty(program.lines) == pytest.approx(0.01, abs=0.005)


def test_a_line_that_was_stamped_before_and_written_after_stays_in_its_place(program: Program) -> None:
    program.writes("exact", at=102.0)
    program.clock.note(102.0)
    program.lines.append(Stamped(program.log.stat().st_size + 4, 0.3, "late"))
    program.clock.note(103.0)
    with program.log.open("a") as file:
        file.write("late")
    program.clock.note(103.1)
    assert 103.0 < program.placed()["late"] < 103.1


def test_lines_keep_their_order_and_distances_between_two_notes(program: Program) -> None:
    for number in range(5):
        program.writes(str(number), at=102.0 + number / 10)
    program.clock.note(110.0)
    times = list(program.placed().values())
    assert [b - a for a, b in pairwise(times)] == pytest.approx([0.1] * 4)


def test_nothing_noted_bounds_nothing(program: Program) -> None:
    program.writes("alone", at=102.0)
    assert program.placed()["alone"] == pytest.approx(102.0 - LATE)
    assert isinf(program.clock.uncertainty(program.lines))
    assert program.clock.uncertainty([]) == inf


def test_a_log_that_is_gone_is_no_error(program: Program) -> None:
    program.log.unlink()
    program.clock.note(102.0)
    assert program.clock.place([]) == []


def test_notes_without_a_new_line_cost_no_memory(program: Program) -> None:
    program.writes("once", at=102.0)
    for number in range(1000):
        program.clock.note(103.0 + number)
    assert len(program.clock._sizes) == 1
