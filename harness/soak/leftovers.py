"""What a run leaves on the machine when it is over: nothing is what it should be."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from harness.soak import processes


@dataclass(frozen=True)
class Before:
    """The machine without a run: interfaces of this network, and shared memory."""

    interfaces: frozenset[str]
    shared: frozenset[str]

    @staticmethod
    def look() -> Before:
        """Now."""
        return Before(_interfaces(), _shared())


def left(token: str, temporary: Path, before: Before) -> list[str]:
    """What is there that only the run can have left: `token` and the temporary folder are its own."""
    return [
        *map(str, processes.of_run(token)),
        *(f"folder {path}" for path in sorted(temporary.iterdir())),
        *(f"socket {name}" for name in _sockets(str(temporary))),
        *(f"interface {name}" for name in sorted(_interfaces() - before.interfaces)),
        *(f"shared memory {name}" for name in sorted(_shared() - before.shared)),
    ]


def _interfaces() -> frozenset[str]:
    return frozenset(name for _, name in socket.if_nameindex())


def _shared() -> frozenset[str]:
    folder = Path("/dev/shm")
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def _sockets(folder: str) -> list[str]:
    """UNIX sockets of this network with a name below the folder (proc(5), /proc/net/unix)."""
    names = (line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return sorted({name for name in names if name.startswith(folder)})
