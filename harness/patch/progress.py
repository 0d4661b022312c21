"""What ci/patch is doing, a line for each step, on standard error."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """Lines with the time since the start, so that a log tells what took how long."""

    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        """Say what begins or has ended."""
        print(f"patch: {self.seconds:5.0f} s: {text}", file=sys.stderr, flush=True)
