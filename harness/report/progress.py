"""Where a run stands: how much is done, how much of it is red, what is under way, how long it will take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

PHASES = {"setup": "runs", "call": "is cleared away"}
"""What a test does after the phase that has just been reported."""


@dataclass
class UnderWay:
    """A test that has begun and not ended. `since` in monotonic seconds."""

    name: str
    since: float
    phase: str = "is set up"


@dataclass
class Progress:
    """A run's progress; `began` and all times in monotonic seconds, `total` is 0 as long as it is not known."""

    began: float
    total: int = 0
    done: int = 0
    red: int = 0
    new: int = 0
    under_way: dict[str, UnderWay] = field(default_factory=dict)

    def start(self, nodeid: str, now: float) -> None:
        """A test begins."""
        self.under_way[nodeid] = UnderWay(nodeid.rpartition("::")[2] or nodeid, now)

    def phase(self, nodeid: str, ended: str) -> None:
        """A phase of a test, `setup` or `call`, has ended."""
        if (test := self.under_way.get(nodeid)) is not None and ended in PHASES:
            test.phase = PHASES[ended]

    def end(self, nodeid: str, *, red: bool) -> None:
        """A test has ended."""
        if self.under_way.pop(nodeid, None) is not None:
            self.done += 1
            self.red += red

    def left(self, now: float) -> float | None:
        """Seconds until the end if it goes on as so far; None as long as nothing can be said."""
        if not self.total or self.done < 5:
            return None
        return (now - self.began) / self.done * (self.total - self.done)

    def line(self, now: float) -> str:
        """All of it in one line."""
        done = f"{self.done} of {self.total} tests" if self.total else f"{self.done} tests"
        left = self.left(now)
        time = f", about {_duration(left)} left" if left is not None and self.done < self.total else ""
        return f"{done}, {self.red} red ({self.new} new causes), {_duration(now - self.began)}{time}"

    def tests(self, now: float) -> Iterator[str]:
        """What is under way, a line each, the longest first."""
        for test in sorted(self.under_way.values(), key=lambda test: test.since):
            yield f"{_duration(now - test.since):>6}  {test.name} {test.phase}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60:02} s"
