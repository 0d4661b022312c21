"""A lock on an open file, which the kernel frees when its last holder dies."""

from __future__ import annotations

import fcntl


def try_lock(file: int) -> bool:
    """Lock this descriptor's file alone, without waiting; False while another open file holds it. See flock(2)."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
