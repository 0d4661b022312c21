"""How fast vhost-user goes: through the suite's own back end, and through DPDK's testpmd beside it.

Frames are sent and accounted for by this process, whatever the back end: it is the whole path that is measured.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from harness.bench import Figures
from harness.guest.probe.features import MULTIQUEUE
from harness.guest.probe.msix import a_vector_each
from harness.host import namespace
from harness.host.backend import NetworkBackend
from harness.host.flows import Flow, flows
from harness.host.real_backends.testpmd import Testpmd
from harness.host.vhost_user.rates import turnarounds
from harness.host.vhost_user_backend import VhostUser
from harness.mac import mac_bytes
from harness.scratch import Scratch
from harness.testbed.nic import Nic, ProbeNic
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.base import Vmm

B = TypeVar("B", bound=NetworkBackend)
FLOWS = 64
FRAMES = 64_000
"""Frames in each direction."""
COMMANDS = 100
WINDOW = 128
"""Frames that are on their way at a time to a back end that sends them back: rings hold 256."""

TURNAROUND = "vhost-user message answered, us"


def measure(vmms: Sequence[Vmm], rounds: int, scratch: Scratch) -> Figures:
    """All figures, by title and build."""
    namespace.enter()
    flows(FLOWS)  # scapy's import is no part of any figure
    measurements: dict[str, Callable[[Testbed], float | None]] = {
        "frames to the guest, own back end, per s": lambda bed: _to_guest(_started(bed, bed.vhost_user)),
        "frames from the guest, own back end, per s": lambda bed: _from_guest(_started(bed, bed.vhost_user)),
        TURNAROUND: lambda bed: _turnaround(_started(bed, bed.vhost_user)),
    }
    if Testpmd.lacking() is None:
        measurements["frames there and back, testpmd, per s"] = lambda bed: _there_and_back(
            _started(bed, lambda pairs: bed.backend(Testpmd.name, pairs))
        )
    found: Figures = defaultdict(list)
    for title, measurement in measurements.items():
        for _ in range(rounds):
            for vmm in vmms:
                with Testbed(vmm, scratch.folder()) as bed:
                    if (value := measurement(bed)) is not None:
                        found[title, vmm.name].append(value)
    return found


def _started(bed: Testbed, backend: Callable[[int], B]) -> ProbeNic[B]:
    """Four active pairs. DPDK serves no vring without a call descriptor, which needs an interrupt vector."""
    (nic,) = bed.probe_nics([NicPlan()], backend)
    net = nic.driver.net
    net.prepare(MULTIQUEUE, vectors=a_vector_each)
    net.set_driver_ok()
    nic.set_pairs(nic.max_pairs)
    return nic


def _frames(nic: Nic, which: Sequence[Flow], count: int) -> list[bytes]:
    source = mac_bytes(nic.config.mac)
    return [which[number % len(which)].reply(source, number) for number in range(count)]


def _to_guest(nic: Nic) -> float:
    begin = time.perf_counter()
    landed = nic.receive(flows(FLOWS), copies=FRAMES // FLOWS)
    return (landed.sent - landed.lost) / (time.perf_counter() - begin)


def _from_guest(nic: ProbeNic) -> float:
    frames = _frames(nic, flows(FLOWS), FRAMES)
    begin = time.perf_counter()
    returned = nic.driver.net.send(0, frames, within=60)
    return returned / (time.perf_counter() - begin)


def _turnaround(nic: ProbeNic[VhostUser]) -> float | None:
    """The median microseconds from a message's arrival to its answer, over many counts; None if none is asked for."""
    since = nic.backend.end.log.mark()
    for number in range(COMMANDS):
        nic.set_pairs(1 + number % nic.max_pairs)
    answered = turnarounds(nic.backend.end.log, since)
    return 1e6 * statistics.median(answered) if answered else None


def _there_and_back(nic: ProbeNic) -> float:
    net = nic.driver.net
    frames = _frames(nic, flows(FLOWS), FRAMES // 4)
    begin = time.perf_counter()
    back = 0
    for start in range(0, len(frames), WINDOW):
        window = frames[start : start + WINDOW]
        net.send(0, window)
        net.await_frames(len(window))
        back += len(window)
    return back / (time.perf_counter() - begin)
