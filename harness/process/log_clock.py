"""When the lines of a log were written, on the host's clock: a log that counts from its program's own start.

The program's start is not known: between its execution and its first line lies whatever else the host had to do. So the
size of the file is noted at times that matter. A line that was not there at such a time was written later, one that was
there was written before: that bounds the two clocks' offset from both sides, and no line is placed outside its bounds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

APART = 1e-6
"""Seconds between a noted time and a line that is known to lie before or after it."""


@dataclass(frozen=True)
class Stamped:
    """A line: `end` is where it ends in the file, in bytes; `seconds` what it says of the time since the start."""

    end: int
    seconds: float
    text: str


class LogClock:
    """Notes how long a log is. `started` is when its program was executed, in monotonic seconds, or earlier."""

    def __init__(self, log: Path, started: float) -> None:
        self._log = log
        self._started = started
        self._sizes: list[int] = []
        self._first: list[float] = []
        self._last: list[float] = []

    def note(self, now: float) -> None:
        """Note the log's length; `now` is a monotonic time right before."""
        try:
            size = self._log.stat().st_size
        except OSError:
            return
        if self._sizes and size <= self._sizes[-1]:
            self._last[-1] = now
        else:
            self._sizes.append(size)
            self._first.append(now)
            self._last.append(now)

    def place(self, lines: Sequence[Stamped]) -> list[tuple[float, str]]:
        """The lines with the monotonic time at which each was written, as far as that can be told."""
        bounds = [self._bounds(line.end) for line in lines]
        low, high = self._offset(zip(lines, bounds, strict=True))
        offset = low if high == inf else max(low, min(high, (low + high) / 2))
        return [
            (min(max(offset + line.seconds, after + APART), before - APART), line.text)
            for line, (after, before) in zip(lines, bounds, strict=True)
        ]

    def uncertainty(self, lines: Sequence[Stamped]) -> float:
        """Seconds by which the times of `place` may be wrong, one way or the other; infinite if nothing bounds them."""
        low, high = self._offset((line, self._bounds(line.end)) for line in lines)
        return max(high - low, 0.0) / 2

    def _bounds(self, end: int) -> tuple[float, float]:
        """(the last noted time at which the log did not reach to `end`, the first at which it did)."""
        number = bisect_left(self._sizes, end)
        after = self._last[number - 1] if number else self._started
        before = self._first[number] if number < len(self._first) else inf
        return after, before

    def _offset(self, bounded: Iterable[tuple[Stamped, tuple[float, float]]]) -> tuple[float, float]:
        """The earliest and the latest monotonic time that the program's clock may have begun at."""
        low, high = self._started, inf
        for line, (after, before) in bounded:
            low, high = max(low, after - line.seconds), min(high, before - line.seconds)
        return (low, high) if low <= high else (high, high)
