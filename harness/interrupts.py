"""SIGTERM and SIGHUP break a process off as Ctrl-C does, so that it saves and clears away what there is."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

ASKED_TO_END = (signal.SIGTERM, signal.SIGHUP)


def as_interrupts() -> None:
    """From now on they raise KeyboardInterrupt in the main thread. What nohup ignores stays ignored."""
    _handle(_interrupt)


def are_for_others() -> None:
    """From now on they do nothing here: who started this process ends it. What it executes has the defaults."""
    _handle(lambda number, _: None)


def _handle(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in ASKED_TO_END:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
