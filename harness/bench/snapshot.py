"""What a cycle of snapshot and restore costs in a test, beside the VMM's own calls alone."""

from __future__ import annotations

import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence

from harness.bench import Figures
from harness.host import namespace
from harness.lifecycle import save_and_restore
from harness.nic import Nic
from harness.scratch import Scratch
from harness.testbed import NicPlan, Testbed
from harness.vmm.base import Launch, Vmm

ALONE, IN_A_TEST = "snapshot and restore by the VMM alone, ms", "snapshot and restore in a test, ms"
RATIO = "test over VMM alone, ratio of medians"


def measure(vmms: Sequence[Vmm], rounds: int, scratch: Scratch) -> Figures:
    """All figures, by title and build. Each build must be one that can save its state on this host."""
    namespace.enter()
    found: Figures = defaultdict(list)
    for _ in range(rounds):
        for vmm in vmms:
            for title, cycle in ((ALONE, alone), (IN_A_TEST, in_a_test)):
                with Testbed(vmm, scratch.folder()) as bed:
                    nic = bed.nic(NicPlan(), "probe", "tap")
                    nic.set_pairs(3)
                    found[title, vmm.name].append(cycle(bed, nic))
    for vmm in vmms:
        medians = [statistics.median(found[title, vmm.name]) for title in (IN_A_TEST, ALONE)]
        found[RATIO, vmm.name] = [medians[0] / medians[1]]
    return found


def alone(bed: Testbed, nic: Nic) -> float:
    """Milliseconds of pause, snapshot, end, restore and resume, with nothing in between."""
    folder, workdir = bed.fresh_folder("plain"), bed.fresh_folder("vm")
    begin = time.perf_counter()
    nic.vm.pause()
    nic.vm.snapshot(folder)
    nic.vm.stop()
    vm = bed.vmm.restore(folder, nic.vm.config, Launch(workdir))
    bed.take_in(vm)
    vm.resume()
    took = time.perf_counter() - begin
    shutil.rmtree(folder)
    return 1e3 * took


def in_a_test(bed: Testbed, nic: Nic) -> float:
    """Milliseconds of the same with what a test needs: the driver is carried over, the snapshot removed."""
    begin = time.perf_counter()
    save_and_restore(bed, nic)
    return 1e3 * (time.perf_counter() - begin)
