"""The files of one cloud-hypervisor process: its sockets, log, and event monitor."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.bounded import MIB, Unreadable, read_file
from harness.errors import VmmError
from harness.process.log_clock import Stamped

SERIAL = Path("serial")
"""The serial port's socket. Its path is part of a VM's saved configuration, so it is relative: a VM that is
restored or migrated finds its own in the working folder of its new process."""


EVENTS_LIMIT = 16 * MIB
_LOG_LINE = re.compile(rb"^cloud-hypervisor: +(\d{1,9}\.\d{1,9})s: (<.*)$", re.MULTILINE)


def timed_lines(log: bytes, start: int = 0) -> list[Stamped]:
    """The lines of a log that say when they were written; further lines of a message are left out.

    `log` is the file from the byte `start` on.
    """
    return [
        Stamped(start + line.end(), float(line[1]), line[2].decode(errors="replace").rstrip())
        for line in _LOG_LINE.finditer(log)
    ]


@dataclass(frozen=True)
class Event:
    """One entry of the event monitor: `seconds` since the VMM started, source, event, properties."""

    seconds: float
    source: str
    event: str
    properties: dict[str, Any] | None


def _events(text: str) -> Iterator[Event]:
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            entry, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            return  # the last entry is being written
        stamp = entry["timestamp"]
        seconds = stamp["secs"] + stamp["nanos"] / 1e9
        yield Event(seconds, str(entry["source"]), str(entry["event"]), entry.get("properties"))


@dataclass(frozen=True)
class Files:
    """Where they are: all in the process's working folder."""

    folder: Path
    api: Path
    serial: Path
    events: Path
    log: Path

    @classmethod
    def within(cls, folder: Path) -> Files:
        """Those of a process that works in `folder`."""
        return cls(folder, folder / "api", folder / SERIAL, folder / "events", folder / "vmm.log")

    def remove_sockets(self) -> None:
        """Remove what a process that was killed leaves."""
        for path in (self.api, self.serial):
            path.unlink(missing_ok=True)

    def arguments(self) -> list[str]:
        """The words of the command line that every process gets."""
        return [
            *("--api-socket", f"path={self.api}"),
            *("--event-monitor", f"path={self.events}"),
            *("--seccomp", "true"),
            "-v",
        ]

    def read_events(self) -> list[Event]:
        """What the event monitor wrote so far, oldest first."""
        if not self.events.exists():
            return []
        try:
            return list(_events(read_file(self.events, EVENTS_LIMIT).decode(errors="replace")))
        except Unreadable as error:
            raise VmmError(f"the VMM's event monitor {error}") from None
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            raise VmmError(f"the VMM's event monitor wrote what is no event: {error!r:.200}") from None

    def count_events(self, event: str) -> int:
        """How many events of that name there were so far."""
        return sum(1 for seen in self.read_events() if seen.event == event)
