"""--park: what a failed test leaves can be looked at until somebody says so, and is gone then."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from harness.vmm.base import Vmm
from tests.run.suite import PATIENCE, Suite

TESTS = """
from harness.testbed.testbed import NicPlan

def test_fails(testbed, driver, backend):
    testbed.nic(NicPlan(2), driver, backend)
    assert not testbed.vms

def test_passes(testbed, driver, backend):
    testbed.nic(NicPlan(2), driver, backend)
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "two_workers"])
def test_a_failed_tests_vm_lives_until_it_is_ended(suite: Suite, qemu: Vmm, workers: tuple[str, ...]) -> None:
    suite.know(qemu)
    suite.write(TESTS)
    with suite.start(suite.command("--park", *workers, builds=[f"qemu={qemu.path}"])) as run:
        assert run.stdout is not None
        said = ""
        while not (end := re.search(r"(\d+) tests left their VMs. `kill (\d+)` ends them", said)):
            line = run.stdout.readline()
            assert line, f"the run ended without waiting:\n{said}"
            said += line
        (vm,) = re.findall(r"^qemu: process (\d+)$", said, re.MULTILINE)
        command = Path(f"/proc/{vm}/cmdline").read_text()
        assert "test_passes" not in said.partition(" parked ")[2]
        assert re.search(rf"nsenter --target {vm} .*--net ip link", said)
        assert "pair  guest: active" in said
        os.kill(int(end[2]), signal.SIGTERM)
        rest = run.communicate(timeout=PATIENCE)[0]
    assert "qemu-system" in command
    assert "1 failed, 1 passed" in rest
    assert not Path(f"/proc/{vm}").exists()
    assert not list((suite.folder / "tmp").glob("vnmq-*"))
