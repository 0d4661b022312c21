"""What a cycle of snapshot and restore costs in a test, beside the VMM's own calls in that very cycle.

Both come from one cycle: two cycles of one VMM differ by more than what is looked for.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from harness.bench import Figures
from harness.host import namespace
from harness.lifecycle import save_and_restore
from harness.scratch import Scratch
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.base import Vmm

IN_A_TEST, OWN_CALLS = "snapshot and restore in a test, ms", "of these the VMM's own calls, ms"
RATIO = "test over the VMM's own calls, ratio"


def measure(vmms: Sequence[Vmm], rounds: int, scratch: Scratch) -> Figures:
    """All figures, by title and build. Each build must be one that can save its state on this host."""
    namespace.enter()
    found: Figures = defaultdict(list)
    for _ in range(rounds):
        for vmm in vmms:
            with Testbed(vmm, scratch.folder()) as bed:
                (nic,) = bed.probe_nics([NicPlan()], bed.tap)
                nic.start()
                nic.set_pairs(3)
                whole, own = cycle(bed, nic)
            found[IN_A_TEST, vmm.name].append(1e3 * whole)
            found[OWN_CALLS, vmm.name].append(1e3 * own)
            found[RATIO, vmm.name].append(whole / own)
    return found


def cycle(bed: Testbed, nic: ProbeNic) -> tuple[float, float]:
    """Seconds of a cycle as tests do it, and of pause, snapshot, end, restore and resume in it."""
    calls = Stopwatch()
    with (
        calls.timing(type(nic.vm), "pause", "snapshot", "stop", "resume"),
        calls.timing(type(nic.vm.vmm), "restore"),
    ):
        begin = time.perf_counter()
        save_and_restore(bed, nic)
        whole = time.perf_counter() - begin
    return whole, calls.seconds


class Stopwatch:
    """Adds up the time that methods take, of those that were not called by one another."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._running = False

    @contextmanager
    def timing(self, kind: type, *names: str) -> Iterator[None]:
        """Time these methods of a class while the block runs."""
        usual = {name: getattr(kind, name) for name in names}
        try:
            for name in names:
                setattr(kind, name, self._timed(usual[name]))
            yield
        finally:
            for name in names:
                setattr(kind, name, usual[name])

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            if self._running:
                return method(*words, **named)
            self._running, begin = True, time.perf_counter()
            try:
                return method(*words, **named)
            finally:
                self._running = False
                self.seconds += time.perf_counter() - begin

        return call
