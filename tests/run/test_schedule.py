"""How tests are spread over workers: as many as cores and memory carry, the longest first, the same in each."""

from __future__ import annotations

import json
import os

import pytest

from harness.run.schedule import WORKER_BYTES, memory_available, workers
from harness.vmm.base import Vmm
from tests.run.suite import Suite

GIB = 1 << 30
TESTS = """
import pytest

def test_quick(vmm): pass

def test_long(vmm):
    import signal
    signal.sigtimedwait([], 0.3)

@pytest.mark.slow
def test_unknown(vmm): pass
"""


@pytest.mark.parametrize(
    ("cores", "memory", "number"),
    [
        (1, 64 * GIB, 4),
        (2, 64 * GIB, 8),
        (8, 64 * GIB, 24),
        (64, 512 * GIB, 80),
        (8, 2 * GIB, 2),
        (8, 0, 1),
        (2, 3 * WORKER_BYTES, 3),
    ],
)
def test_workers_are_as_many_as_cores_and_memory_carry(cores: int, memory: int, number: int) -> None:
    assert workers(cores, memory, emulates=False) == number


def test_where_guests_are_emulated_tests_compute() -> None:
    assert [workers(cores, 64 * GIB, emulates=True) for cores in (1, 2, 8)] == [1, 2, 8]


def test_a_run_of_the_reference_has_a_worker_for_each_core(suite: Suite, qemu: Vmm) -> None:
    suite.know(qemu)
    suite.write(TESTS)
    cores = len(os.sched_getaffinity(0))
    ran = suite.run("-n", "auto", builds=[f"qemu={qemu.path}"])
    assert f"{cores} workers" in ran.out
    ran = suite.run("-n", "auto")  # its build says that it is QEMU, too
    assert f"{cores} workers" in ran.out


def test_memory_is_that_of_the_machine_or_less() -> None:
    assert 0 < memory_available() < 1 << 50


def order(suite: Suite, *options: str) -> list[str]:
    """Tests as they began: the clocks of their records."""
    ran = suite.run("-n", "1", "-v", *options)
    assert ran.code == 0, ran
    return [
        line.split("::")[1].split("[")[0] for line in ran.out.splitlines() if line.startswith("test_it.py::")
    ]


def test_longest_of_the_last_run_comes_first(suite: Suite, qemu: Vmm) -> None:
    suite.know(qemu)
    suite.write(TESTS)
    given = ["--vmm", f"q={qemu.path}", "--lab", "never"]
    assert order(suite, *given)[0] == "test_unknown"
    assert order(suite, *given)[0] == "test_long"
    times = {r["function"]: r["seconds"] for r in suite.results["results"]}
    assert times["test_long"] > times["test_quick"], json.dumps(times)
