"""What a test with the probe guest costs: start of a VM, a whole test, frames accounted for."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from harness.bench import Figures
from harness.guest.probe.image import build_image
from harness.guest.probe.monitor import connect
from harness.host import namespace
from harness.host.flows import flows
from harness.scratch import Scratch
from harness.testbed.testbed import PROBE_MEMORY_MIB, NicPlan, Testbed
from harness.vmm.base import VmConfig, Vmm

FLOOD = 200_000
"""Frames of one flood."""
FLOWS = 64

Measurement = Callable[[Testbed], float]


def first_answer(bed: Testbed) -> float:
    """Milliseconds from executing the VMM to the probe guest's first answer, a NIC of four pairs included."""
    image = build_image(bed.vmm.kernel_format)
    tap = bed.tap(4)
    config = bed.nic_config(NicPlan(), 0, tap)
    begin = time.perf_counter()
    vm = bed.launch(VmConfig(image, (config,), memory_mib=PROBE_MEMORY_MIB))
    _, memory = connect(vm)
    took = time.perf_counter() - begin
    memory.close()
    return 1e3 * took


def start_to_judged(bed: Testbed) -> float:
    """Milliseconds of a usual test: VM, driver, one VQ_PAIRS_SET, 64 flows accounted for, everything removed."""
    begin = time.perf_counter()
    with bed:
        nic = bed.nic(NicPlan(), "probe", "tap")
        nic.set_pairs(2)
        nic.receive(flows(FLOWS))
    return 1e3 * (time.perf_counter() - begin)


def flood(bed: Testbed) -> float:
    """Frames per second sent to four active pairs and accounted for, one by one."""
    nic = bed.nic(NicPlan(), "probe", "tap")
    nic.set_pairs(4)
    begin = time.perf_counter()
    landed = nic.receive(flows(FLOWS), copies=FLOOD // FLOWS)
    took = time.perf_counter() - begin
    if not landed.exactly_once:
        print(f"note: {bed.vmm.name}: {landed}", file=sys.stderr)
    return (landed.sent - landed.lost) / took


MEASUREMENTS: dict[str, tuple[Measurement, int]] = {
    "VMM exec to first answer, ms": (first_answer, 1),
    "one probe test with its VM, ms": (start_to_judged, 1),
    "frames sent and accounted for, per s": (flood, 4),
}
"""Title, measurement, and how many times fewer it is repeated than asked for."""


def measure(vmms: Sequence[Vmm], rounds: int, scratch: Scratch) -> Figures:
    """The figures with the probe guest."""
    namespace.enter()
    found: Figures = defaultdict(list)
    flows(FLOWS)  # scapy's import is no part of any figure
    for title, (measurement, fewer) in MEASUREMENTS.items():
        for _ in range(max(1, rounds // fewer)):
            for vmm in vmms:
                with Testbed(vmm, scratch.folder()) as bed:
                    found[title, vmm.name].append(measurement(bed))
    return found
