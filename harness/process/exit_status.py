"""How a process ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass

FROM_OUTSIDE = {
    128 + number
    for number in (
        signal.SIGKILL,  # the kernel's OOM killer, or somebody's hand
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGXCPU,  # limits that the host has set
        signal.SIGXFSZ,
    )
}
"""Exit statuses, as a shell counts, of processes that were ended by somebody else: no program does this to itself."""


@dataclass(frozen=True)
class ExitStatus:
    """How a VMM's process ended: `code` as the shell counts, `signal` by name where one killed it."""

    code: int
    signal: str | None = None

    @classmethod
    def of(cls, returncode: int) -> ExitStatus:
        """What subprocess calls this: a signal is a number below 0."""
        return cls(returncode) if returncode >= 0 else cls(128 - returncode, _signal_name(-returncode))

    def __str__(self) -> str:
        return f"killed by {self.signal}" if self.signal else f"exit status {self.code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"
