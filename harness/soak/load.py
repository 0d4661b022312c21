"""Load: processes that do nothing but compute, while a block runs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from harness.process.tether import tied

_BUSY = ["sh", "-c", "while :; do :; done"]


@contextmanager
def load(processes: int) -> Iterator[None]:
    """So many busy processes. They end with this one, however it ends.

    Where the scheduler groups sessions (sched(7), "The autogroup feature"), all of them together count as one, and take
    half of the machine. A session for each was tried: on two cores twenty of them let no run come to its first test in
    ten minutes.
    """
    busy = [subprocess.Popen(tied(_BUSY), stdin=subprocess.DEVNULL) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()
