"""The processes of a run, known by a word in their environment: none gets rid of that by losing its parent.

A network namespace lives as long as a process is in it, and its taps with it: where no process is left, neither is one.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TOKEN = "MQ_SOAK"
"""The environment variable."""
REAL_BACK_ENDS = frozenset({"dpdk-testpmd", "ovs-vswitchd", "ovsdb-server"})


@dataclass(frozen=True)
class Process:
    """One process of a run, as it was when somebody looked."""

    pid: int
    parent: int
    program: Path
    words: str
    """The beginning of its command line."""

    def __str__(self) -> str:
        return f"process {self.pid}: {self.words}"


def of_run(token: str) -> list[Process]:
    """The living processes that have this token."""
    wanted = f"{TOKEN}={token}".encode()
    return [process for folder in _all() if (process := _read(folder, wanted)) is not None]


def _all() -> Iterator[Path]:
    return (folder for folder in Path("/proc").iterdir() if folder.name.isdigit())


def _read(folder: Path, wanted: bytes) -> Process | None:
    """None for a process of others, for one that goes meanwhile, and for a zombie, which has no environment."""
    with suppress(OSError):
        if wanted not in (folder / "environ").read_bytes().split(b"\0"):
            return None
        return Process(
            int(folder.name),
            int((folder / "stat").read_text().rpartition(")")[2].split()[1]),
            (folder / "exe").readlink(),
            (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:120].strip(),
        )
    return None


def by_role(processes: Collection[Process], main: int, vmms: Collection[Path]) -> dict[str, list[int]]:
    """Process ids by what they are in the run whose main process is `main`. Helpers are none of these."""
    python = next((process.program for process in processes if process.pid == main), None)
    roles: dict[str, list[int]] = {"main": [], "worker": [], "VMM": [], "back end": []}
    for process in processes:
        if process.pid == main:
            roles["main"].append(main)
        elif process.parent == main and process.program == python:
            roles["worker"].append(process.pid)
        elif process.program in vmms:
            roles["VMM"].append(process.pid)
        elif process.program.name in REAL_BACK_ENDS or process.program.name.startswith("vhost_user"):
            roles["back end"].append(process.pid)
    return roles


def new_token() -> str:
    """A token that no other run has."""
    return f"{os.getpid()}-{os.urandom(4).hex()}"
