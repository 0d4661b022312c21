"""Frames without pause, from a thread of its own, while a test does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from harness.deadline import PACE
from harness.errors import DeadlineExceeded, Owner

STOP_PATIENCE = 10.0


class Flood:
    """A context manager: while it is open, `inject` is called with `frames` again and again.

    An error of `inject` ends the flood and is raised when the block is left.
    """

    def __init__(self, inject: Callable[[Sequence[bytes]], None], frames: Sequence[bytes]) -> None:
        self._inject = inject
        self._frames = frames
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="flood", daemon=True)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._inject(self._frames)
        except BaseException as error:
            self._error = error

    def __enter__(self) -> Flood:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(STOP_PATIENCE * PACE)
        if self._thread.is_alive():
            raise DeadlineExceeded(
                f"waited {STOP_PATIENCE * PACE:.0f} s for the flood of frames to stop; it goes on", Owner.HOST
            )
        if self._error is not None:
            raise self._error
