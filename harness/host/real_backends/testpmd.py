"""DPDK's testpmd with net_vhost: it sends each frame back on the pair that it came from, MAC addresses swapped."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from harness.errors import Unavailable
from harness.host.backend import Place
from harness.host.real_backends.dpdk import DpdkBackend

PROGRAM = "dpdk-testpmd"
MEMORY_MIB = 256


class Testpmd(DpdkBackend):
    """testpmd in software alone: no huge pages, no PCI devices, one polling thread."""

    __test__ = False
    name = "testpmd"

    @staticmethod
    def lacking() -> str | None:
        """Why it cannot run here, or None."""
        return None if shutil.which(PROGRAM) else f"{PROGRAM} is missing: apt-get install dpdk-dev"

    def _words(self, folder: Path) -> Sequence[str]:
        if (reason := self.lacking()) is not None:
            raise Unavailable(reason)
        queues = str(self.pairs)
        return [
            *("env", f"RUNTIME_DIRECTORY={folder}", PROGRAM),
            *(
                "--lcores",
                "0@(0-1),1@(0-1)",
                "--no-huge",
                "-m",
                str(MEMORY_MIB),
                "--no-pci",
                "--no-telemetry",
            ),
            *("--vdev", f"net_vhost0,iface={self.socket},queues={queues}"),
            "--log-level=lib.vhost*:debug",
            "--",
            *("--forward-mode=macswap", "--auto-start", "--rxq", queues, "--txq", queues, "--nb-cores=1"),
            "--total-num-mbufs=16384",
            "--stats-period=3600",  # without it testpmd waits for a key, and ends where there is no keyboard
        ]

    def sibling(self, place: Place, pairs: int) -> Self:
        """Another testpmd."""
        return type(self)(place.folder, pairs)
