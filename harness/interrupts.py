"""SIGTERM and SIGHUP break a process off as Ctrl-C does, so that it saves and clears away what there is."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

ASKED_TO_END = (signal.SIGTERM, signal.SIGHUP)
ALL = (*ASKED_TO_END, signal.SIGINT)


def as_interrupts() -> None:
    """From now on they raise KeyboardInterrupt in the main thread. What nohup ignores stays ignored."""
    for number in ASKED_TO_END:
        _handle(number, _interrupt)


def are_for_others() -> None:
    """From now on they and Ctrl-C do nothing here: who started this process ends it.

    What it executes has the defaults.
    """
    for number in ALL:
        _handle(number, lambda number, _: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL)


@contextmanager
def held() -> Iterator[None]:
    """They and Ctrl-C wait while the block runs, and also in processes started in it, until these handle them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _handle(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> None:
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
