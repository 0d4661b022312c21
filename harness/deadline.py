"""Waiting with a reason, a deadline, and a last observation."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from harness.errors import BadInput, DeadlineExceeded, Owner

T = TypeVar("T")


def _pace() -> float:
    text = os.environ.get("MQ_PACE", "1")
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise BadInput(
            f"MQ_PACE={text!r} is not a positive number: it multiplies every deadline, 1 is the default"
        )
    return value


def check_pace() -> None:
    """Raises BadInput where MQ_PACE is no pace: every command asks before it begins."""
    _pace()


PACE = 1.0
"""Every deadline is multiplied by this (environment variable MQ_PACE): slow machines, such as the lab, raise it."""
with suppress(BadInput):  # a module that cannot be loaded would say it in a traceback
    PACE = _pace()


AT_ONCE = 0.0005
"""Seconds for which a wait looks without any pause: most of what is awaited comes within microseconds."""
SHARE, LONGEST_PAUSE = 8, 0.02
"""Then it pauses for this share of what it has waited, and never longer than these seconds."""


def before_next_look(waited: float) -> float:
    """Seconds of pause before the next look, after `waited` seconds in vain: nobody computes all through a silence."""
    return 0.0 if waited < AT_ONCE else min(waited / SHARE, LONGEST_PAUSE)


class Deadline:
    """A point in time that a whole operation shares, however many waits it makes.

    `seconds` are real seconds before PACE is applied.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds * PACE
        self._end = time.monotonic() + self.seconds

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    def expired(self) -> bool:
        """Whether nothing is left."""
        return time.monotonic() >= self._end

    def pause(self, since: float) -> None:
        """Let others go on before the next look, no longer than is left: threads of this process need its lock.

        `since`: when something was last seen, or the wait began (time.monotonic()).
        """
        time.sleep(min(before_next_look(time.monotonic() - since), self.remaining()))

    def run_out(self) -> None:
        """Let the time pass."""
        time.sleep(self.remaining())


def wait_until(
    reason: str,
    probe: Callable[[], T | None],
    *,
    owed_by: Owner,
    within: float | Deadline,
    last: Callable[[], object] | None = None,
) -> T:
    """Call `probe` until it answers something true, and return that.

    `reason` completes the sentence "waited 2.0 s for ...". `owed_by` says whom it accuses if it does not happen.
    `within` is seconds (scaled by PACE) or a shared Deadline.
    `last` says what was last seen, where the probe's own answer does not.

    Raises DeadlineExceeded with the reason and the last observation.
    """
    deadline = within if isinstance(within, Deadline) else Deadline(within)
    begun = time.monotonic()
    while True:
        over = (
            deadline.expired()
        )  # asked first: who was not let run meanwhile has still looked after the deadline
        seen = probe()
        if seen:
            return seen
        if over:
            shown = last() if last else seen
            raise DeadlineExceeded(
                f"waited {deadline.seconds:.1f} s for {reason}; last seen: {shown}", owed_by
            )
        deadline.pause(begun)
