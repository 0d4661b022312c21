"""Threads of this process that ended by an error: a test that ran beside one could not judge."""

from __future__ import annotations

import threading
import traceback
from pathlib import Path
from typing import Any

_failed: list[str] = []


def watch_threads() -> None:
    """Note from now on which threads end by an error. Who listened before is told as well."""
    before = threading.excepthook

    def note(args: Any) -> None:
        if args.exc_type is not SystemExit:
            frames = traceback.extract_tb(args.exc_traceback)
            place = (
                f" ({frames[-1].name}, {Path(frames[-1].filename).name}:{frames[-1].lineno})"
                if frames
                else ""
            )
            name = args.thread.name if args.thread is not None else "unknown"
            what = f"{args.exc_type.__name__}: {args.exc_value}"
            _failed.append(f"the suite's own thread {name} failed: {what}{place}")
        before(args)

    threading.excepthook = note


def forget_threads() -> None:
    """A new test begins: what failed before is not its."""
    _failed.clear()


def failed_threads() -> tuple[str, ...]:
    """The threads that failed since the test began, a sentence each, oldest first."""
    return tuple(_failed)
