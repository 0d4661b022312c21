"""The tap queues that a process holds, found among its descriptors."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness.host import tun


@dataclass(frozen=True)
class HeldQueue:
    """One queue of a tap: every descriptor of the process that stands for it, ascending, and its state."""

    tap: str
    fds: tuple[int, ...]
    attached: bool


def queues_of(pid: int) -> list[HeldQueue]:
    """The tap queues of process `pid`, in the order of the lowest descriptor of each.

    That is the order of the pairs, for VMMs open a tap pair by pair; where taps are handed over as descriptors
    it holds if these ascend. Descriptors that share an open file description are one queue.

    Raises OSError if the process is gone, Unavailable without the right to look into it.
    """
    with ExitStack() as undo:
        process = os.pidfd_open(pid)
        undo.callback(os.close, process)
        files: dict[int, list[int]] = {}
        """A duplicate of ours for each queue, and the process's own descriptors of it."""
        for fd in _tun_descriptors(pid):
            try:
                duplicate = tun.duplicate_from(process, fd)
            except OSError as error:
                if error.errno == errno.EBADF:
                    continue  # closed meanwhile
                raise
            undo.callback(os.close, duplicate)
            same = next((known for known in files if tun.same_file(known, duplicate)), duplicate)
            files.setdefault(same, []).append(fd)
        return [queue for duplicate, fds in files.items() if (queue := _held(duplicate, tuple(fds)))]


def _tun_descriptors(pid: int) -> list[int]:
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if str(entry.readlink()) == tun.DEVICE:
                found.append(int(entry.name))
        except FileNotFoundError:
            continue  # closed meanwhile
    return sorted(found)


def _held(duplicate: int, fds: tuple[int, ...]) -> HeldQueue | None:
    try:
        tap, flags = tun.interface_of(duplicate)
    except OSError as error:
        if error.errno == errno.EBADFD:
            return None  # bound to no tap yet
        raise
    return HeldQueue(tap, fds, attached=not flags & tun.IFF_DETACH_QUEUE)
