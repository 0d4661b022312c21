"""What all back ends that are made with DPDK's vhost library say in their log."""

from __future__ import annotations

import re

from harness.host.real_backends.base import RealBackend

_QUEUE = re.compile(r"set queue enable: (\d) to qp idx: (\d+)")


class DpdkBackend(RealBackend):
    """A back end whose log has DPDK's own words on each vring."""

    def enabled_rings(self) -> set[int]:
        """The vrings that DPDK itself says it has enabled."""
        enabled = set[int]()
        for on, ring in _QUEUE.findall(self.process.output()):
            (enabled.add if on == "1" else enabled.discard)(int(ring))
        return enabled
