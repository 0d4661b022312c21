"""What it costs to have many VMs with the probe guest at once: 1 to 64, all alive together."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from harness.bench import Figures
from harness.errors import HarnessError
from harness.host import namespace
from harness.host.flows import flows
from harness.scratch import Scratch
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.base import Vmm

SIZES = (1, 2, 4, 8, 16, 32, 64)
FEWER = 10
"""How many times fewer each size is measured than other figures are."""
FLOWS = 64


def measure(vmms: Sequence[Vmm], rounds: int, scratch: Scratch) -> Figures:
    """Milliseconds and MiB for each VM, and how many failed, by number of VMs and build."""
    namespace.enter()
    found: Figures = defaultdict(list)
    flows(FLOWS)  # making them is no part of any figure
    for size in SIZES:
        for _ in range(max(1, rounds // FEWER)):
            for vmm in vmms:
                for title, figure in at_once(vmm, size, scratch).items():
                    found[f"{size:2} VMs: {title}", vmm.name].append(figure)
    return found


def at_once(vmm: Vmm, size: int, scratch: Scratch) -> dict[str, float]:
    """Start so many, one after the other, set two pairs in each and send it frames; end them when all are up."""
    failed, memory = 0, 0.0
    begin = time.perf_counter()
    with ExitStack() as undo:
        pids = []
        for number in range(size):
            try:
                nic = undo.enter_context(Testbed(vmm, scratch.folder())).nic(NicPlan(), "probe", "tap")
                nic.set_pairs(2)
                failed += not nic.receive(flows(FLOWS)).exactly_once
                pids.append(nic.vm.pid)
            except HarnessError as error:
                failed += 1
                print(f"note: {vmm.name}: VM {number + 1} of {size}: {error}", file=sys.stderr)
        memory = sum(map(_own_memory, pids))
    took = time.perf_counter() - begin
    return {
        "a test, ms": 1e3 * took / size,
        "memory of each VMM, MiB": memory / max(1, len(pids)),
        "failures": float(failed),
    }


def _own_memory(pid: int) -> float:
    """MiB of a process that are its alone, or its share (proc_pid_smaps(5), Pss)."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
