"""How a process ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExitStatus:
    """How a VMM's process ended: `code` as the shell counts, `signal` by name where one killed it."""

    code: int
    signal: str | None = None

    def __str__(self) -> str:
        return f"killed by {self.signal}" if self.signal else f"exit status {self.code}"
