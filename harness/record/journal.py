"""What happened in a test, in order and on one clock: the raw material of a failure's timeline."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.record.landed import Landed
from harness.record.results import Event


class Journal:
    """A test's timeline, counted from its making."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self.events: list[Event] = []
        self.noting: list[Callable[[float], None]] = []
        """Called at each entry with its monotonic time: what is to be compared with the entries notes how it stands."""

    def since(self, monotonic: float) -> float:
        """A time of time.monotonic() as seconds since the test began; negative before."""
        return monotonic - self._start

    def add(self, source: str, text: str, *, pairs: int | None = None) -> None:
        """Enter a line now; see `Event` for the words that `source` may be."""
        self.events.append(Event(self._now(), source, text, pairs=pairs))

    def _now(self) -> float:
        now = time.monotonic()
        for note in self.noting:
            note(now)
        return self.since(now)

    def landed(self, landed: Landed) -> None:
        """Enter where frames landed: a line for the batch, and one for each pair that got any."""
        now = self._now()
        self.events.append(Event(now, "frames", str(landed)))
        for pair, count in sorted(landed.by_pair.items()):
            self.events.append(
                Event(now, "frames", f"{count} frames on pair {pair}", pair=pair, frames=count)
            )

    def text(self) -> str:
        """The lines, for people."""
        shown = (event for event in self.events if event.frames is None)
        return "\n".join(f"{event.at:8.3f}  {event.source:<8} {event.text}" for event in shown)
