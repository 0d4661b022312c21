"""cloud-hypervisor's own back end, a program of its own: vhost_user_net, with a tap behind it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from harness.host.backend import Place
from harness.host.real_backends.base import RealBackend
from harness.host.tap import Tap


class VhostUserNet(RealBackend):
    """`program` on a tap made before. It keeps every queue of the tap attached, whatever the VMM tells it."""

    name = "vhost_user_net"

    def __init__(self, program: Path, tap_name: str, folder: Path, pairs: int) -> None:
        self._program = program
        self._tap_name = tap_name
        super().__init__(folder, pairs)

    def _prepare(self, undo: ExitStack) -> None:
        self._tap = Tap(self._tap_name, self.pairs)
        undo.callback(self._tap.close)

    def _words(self, folder: Path) -> Sequence[str]:
        options = f"socket={self.socket},tap={self._tap_name},num_queues={2 * self.pairs},queue_size=256"
        return [os.fspath(self._program), "--net-backend", options]

    def inject(self, frames: Sequence[bytes]) -> None:
        """Put frames on the tap's wire; the kernel spreads them over all queues."""
        self._tap.inject(frames)

    def capture(self) -> list[bytes]:
        """What came out of the tap since the last call."""
        return self._tap.capture()

    def sibling(self, place: Place, pairs: int) -> Self:
        """Another process of the same program, on a tap of its own."""
        return type(self)(self._program, place.name, place.folder, pairs)
