"""The shell line that repeats one test on one build, as it ran."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from harness.program import called
from harness.record.results import NO_WRITER, Case
from harness.vmm.base import Vmm


@dataclass(frozen=True)
class Rerun:
    """What repeats a run's tests: its builds by name, which of them are older ones, its seed and its options."""

    build: Callable[[str], Vmm]
    seed: int
    legacy: Collection[str] = ()
    options: Sequence[str] = ()

    def line(self, nodeid: str, case: Case) -> str:
        """The line for one test, with the same random choices.

        It works from the checkout's root, or with a wheel from anywhere, and needs no environment to be active.
        """
        words = [*called("conformance").split(), nodeid, *self._given("--vmm", case.vmm)]
        writer = case.parameters.get("writer", NO_WRITER)
        if writer not in (NO_WRITER, case.vmm):
            words += self._given("--legacy-vmm" if writer in self.legacy else "--vmm", writer)
        return shlex.join([*words, "--seed", str(self.seed), *self.options])

    def _given(self, option: str, name: str) -> list[str]:
        vmm = self.build(name)
        return [option, f"{vmm.name}={vmm.place}"]
