"""What a bisection is about: written to a file, for git starts a new process at every commit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from harness.bisect.builds import Recipe
from harness.program import called

Outcome = Literal["good", "bad", "unknown"]
Find = Literal["broken", "fixed"]

FILE = "plan.json"


class Plan(Recipe, frozen=True, kw_only=True):
    """How to build a commit and what to ask of it: a test of the suite, or a reproducer of an issue."""

    folder: str
    """Where the evidence goes: a folder per commit."""
    find: Find
    test: str = ""
    """A test id of results.json, without the VMM. One of `test` and `issue` is given."""
    issue: str = ""
    seed: int

    @property
    def question(self) -> str:
        """What is asked of each commit, for people."""
        return f"{called('repro')} {self.issue}" if self.issue else self.test

    def save(self) -> Path:
        """Write it into its folder."""
        file = Path(self.folder) / FILE
        file.write_bytes(msgspec.json.encode(self))
        return file

    @staticmethod
    def load(file: Path) -> Plan:
        """Read it."""
        return msgspec.json.decode(file.read_bytes(), type=Plan)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about one commit."""

    commit: str
    subject: str
    outcome: Outcome
    reason: str
    """Why it is not good, or cannot be told; for a reproducer its last sentence."""
    seconds: float
    """Building and asking."""

    @property
    def short(self) -> str:
        """The commit as people write it, and the name of its build in a matrix."""
        return self.commit[:9]

    def line(self) -> str:
        """For people."""
        words = {"good": "good", "bad": "BAD", "unknown": "cannot tell"}
        why = f": {self.reason}" if self.reason else ""
        return f"{self.short} {words[self.outcome]:<11} {self.seconds:6.1f} s  {self.subject[:60]}{why}"
