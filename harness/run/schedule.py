"""How a run with `-n auto` is spread: how many workers, and which tests come first.

Tests wait more than they compute: a silence that is awaited takes seconds, and a kernel's grace period its time. So
there are more workers than cores, as far as memory goes, and what took long in the last run begins first, so that waits
overlap. Where a VMM emulates its guests, tests compute, and there are as many workers as cores.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from harness.errors import BadInput, HarnessError
from harness.record.results import JUDGED
from harness.record.runs import newest
from harness.run.case import case_of
from harness.vmm.find import find_vmms

PER_CORE, AT_MOST_MORE = 4, 16
"""Workers for each core, and how many more than cores there are at most: each costs a second to start."""
WORKER_BYTES = 768 << 20
"""What a worker takes with the VMs of a test: one process, and guests of 256 MiB and less."""
SLOW = 5.0
"""Seconds that are supposed of a test that is marked as slow, and of which no more is known."""

Times = Mapping[str, float]
"""Seconds by test, as the last run took them."""


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """How many workers `-n auto` is. Who sets xdist's own variable knows better."""
    if config.option.numprocesses != "auto" or os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    return workers(len(os.sched_getaffinity(0)), memory_available(), emulates=_emulates(config.option.vmm))


def workers(cores: int, memory: int, *, emulates: bool) -> int:
    """So many, for a machine with so many cores and free bytes."""
    most = cores if emulates else min(PER_CORE * cores, cores + AT_MOST_MORE)
    return max(1, min(most, memory // WORKER_BYTES))


def _emulates(asked: Sequence[str]) -> bool:
    """Whether a VMM of the run emulates its guests' processors. What cannot be told is said where the run begins."""
    here = [
        place for place in asked if "release:" not in place
    ]  # a release is cloud-hypervisor's, which needs KVM
    try:
        return any(not vmm.needs_kvm for vmm in find_vmms(here)) if here or not asked else False
    except HarnessError:
        return True


def memory_available() -> int:
    """Bytes that can be used without swapping (proc(5), MemAvailable), or that this control group may still take."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    found = [int(lines["MemAvailable"].split()[0]) << 10]
    group = Path("/sys/fs/cgroup") / Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().lstrip(
        "/"
    )
    with suppress(OSError, ValueError):  # no limit says "max"
        found.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(0, min(found))


def last_times(report: Path) -> Times:
    """What the newest run of a report folder says; nothing without one."""
    with suppress(BadInput):
        return {r.test: r.seconds for r in newest(report).results if r.verdict in JUDGED and not r.lab}
    return {}


def long_ones_first(items: Sequence[pytest.Item], times: Times) -> list[pytest.Item]:
    """The longest first; of which nothing is known, as long as its function's others took. Equals keep their order."""
    by_function = defaultdict[str, list[float]](list)
    for test, took in times.items():
        by_function[test.partition("[")[0]].append(took)

    def seconds(item: pytest.Item) -> float:
        case = case_of(item)
        known = times.get(case.test) if case else None
        if known is not None:
            return known
        others = by_function.get(str(case.origin)) if case else None
        if others:
            return sum(others) / len(others)
        return SLOW if item.get_closest_marker("slow") else 0.0

    return sorted(items, key=seconds, reverse=True)
