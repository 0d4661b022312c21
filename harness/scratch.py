"""Folders for what a run needs while it lasts: sockets, logs, consoles. None survives, not even a killed run's."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from harness.errors import Unavailable
from harness.file_lock import try_lock

PREFIX = "vnmq-"
STALE_AFTER = 60.0
"""Seconds: a younger folder may be one that its owner has not locked yet."""
_SOCKET_PATH_LIMIT = 108
"""sizeof(sockaddr_un.sun_path); the longest name used below a scratch folder takes about half of it."""
_WORKERS_NAME = 10
"""What the name of a worker's folder adds to the path."""
_SWEEPER = """read -r _; for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$0" && exit; sleep 0.2; done"""
"""Waits for the end of its input, which comes when the folder's owner ends. Then the kernel ends what the owner had
started, which may write into the folder once more meanwhile."""


def _base() -> Path:
    """The folder for temporary files, unless its path leaves no room for the names of UNIX sockets."""
    chosen = Path(tempfile.gettempdir())
    return chosen if len(str(chosen)) < _SOCKET_PATH_LIMIT // 2 - _WORKERS_NAME else Path("/tmp")


class Scratch:
    """One process's scratch folder. It goes with the process, even one that is killed: a shell waits for that.

    It is locked meanwhile. Making one removes those of processes that ended together with their shells.
    That of a worker lies in its main process's, `inside`, where that one can look at it until it ends.
    Raises Unavailable if the folder for temporary files cannot be written.
    """

    def __init__(self, inside: Path | None = None) -> None:
        self._count = 0
        self._lock: int | None = None
        if inside is not None and inside.is_dir():  # not on another machine
            self.path = Path(tempfile.mkdtemp(prefix="w", dir=inside))
            return
        base = _base()
        try:
            _remove_stale(base)
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
            self._lock = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try_lock(self._lock)
            self._sweeper = subprocess.Popen(
                ["sh", "-c", _SWEEPER, self.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # a signal to the group of its owner is none to it
            )
        except OSError as error:
            raise Unavailable(
                f"cannot make a scratch folder in {base} ({error.strerror}): make room, or point TMPDIR elsewhere"
            ) from error

    def folder(self) -> Path:
        """A fresh folder inside."""
        self._count += 1
        made = self.path / str(self._count)
        made.mkdir()
        return made

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            self._sweeper.communicate()
            os.close(self._lock)


def _remove_stale(base: Path) -> None:
    for folder in base.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime < STALE_AFTER:
                continue
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if try_lock(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
