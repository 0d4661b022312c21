"""The text files of a failure bundle, cut to what fits into a report."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.bounded import Unreadable, read_file, read_tail

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
    for path in _files(folder):
        if path.suffix in _TEXT and path.name not in SHOWN_ANYWAY:
            with suppress(OSError):
                before, content = read_tail(path, TAIL)
                found.append(
                    LogText(path.relative_to(folder).as_posix(), content.decode("utf-8", "replace"), before)
                )
    return found


def _files(folder: Path) -> Iterator[Path]:
    """The bundle's files by name. A link, which may lead anywhere, is none of them."""
    real = folder.resolve()
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return (path for path in paths if path.resolve() == real / path.relative_to(folder))


@dataclass(frozen=True)
class Capture:
    """A packet capture inside a report: its name, its size in bytes, and itself as a data URL."""

    name: str
    size: int
    url: str


def bundle_captures(folder: Path) -> Sequence[Capture]:
    """The packet captures of a bundle that are small enough. One that cannot be read is skipped."""
    found = []
    for path in _files(folder):
        if path.suffix == ".pcap":
            try:
                content = read_file(path, CAPTURE)
            except Unreadable:
                continue
            url = f"data:application/vnd.tcpdump.pcap;base64,{b64encode(content).decode()}"
            found.append(Capture(path.relative_to(folder).as_posix(), len(content), url))
    return found
