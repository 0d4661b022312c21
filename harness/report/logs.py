"""The text files of a failure bundle, cut to what fits into a report."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TAIL = 16_000
"""Bytes of each file that are shown: the end is where failures are."""

SHOWN_ANYWAY = {"failure.txt", "manifest.json", "pairs.txt", "result.json", "timeline.txt"}
"""Files that say what a report shows of the failure itself."""

CAPTURE = 100_000
"""Bytes of a packet capture that is still put into a report."""

_TEXT = {".log", ".txt", ".json", ".jsonl", ".toml", ".md", ".xml"}


@dataclass(frozen=True)
class LogText:
    """A file's name in the bundle, its end as text, and how many bytes come before that."""

    name: str
    text: str
    before: int


def bundle_logs(folder: Path) -> Sequence[LogText]:
    """The text files of a bundle, by name. A file that cannot be read is skipped: the report is no judge."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix in _TEXT and path.is_file() and path.name not in SHOWN_ANYWAY:
            try:
                found.append(_tail(path, path.relative_to(folder).as_posix()))
            except OSError:
                continue
    return found


@dataclass(frozen=True)
class Capture:
    """A packet capture inside a report: its name, its size in bytes, and itself as a data URL."""

    name: str
    size: int
    url: str


def bundle_captures(folder: Path) -> Sequence[Capture]:
    """The packet captures of a bundle that are small enough. One that cannot be read is skipped."""
    found = []
    for path in sorted(folder.rglob("*.pcap")):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if len(content) <= CAPTURE:
            url = f"data:application/vnd.tcpdump.pcap;base64,{b64encode(content).decode()}"
            found.append(Capture(path.relative_to(folder).as_posix(), len(content), url))
    return found


def _tail(path: Path, name: str) -> LogText:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - TAIL))
        text = file.read(TAIL).decode("utf-8", "replace")
    return LogText(name, text, max(0, size - TAIL))
