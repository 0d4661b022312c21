"""ci/shell: a prompt with a live NIC, and nothing left when it is left."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.deadline import PACE
from harness.vmm.base import Vmm

PATIENCE = 120.0 * PACE

SAID_AT_THE_PROMPT = """
nic.set_pairs(2)
nic.receive(flows(32)).exactly_once
pairs()
net.device.status.name
ways()
"""


def prompt(*words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness.shell", *words]
    return subprocess.run(command, input=said, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.usefixtures("runnable")
def test_a_nic_can_be_driven_and_watched_by_hand(qemu: Vmm) -> None:
    done = prompt("--vmm", str(qemu.path), "--pairs", "3", said=SAID_AT_THE_PROMPT)
    assert done.returncode == 0
    assert "2     no             no" in done.stderr, "the table before"
    assert "every frame should arrive once: 32 frames sent" in done.stdout
    assert "1     yes            yes" in done.stdout
    assert done.stdout.count("nsenter --target") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("runnable")
def test_what_is_wrong_is_one_sentence() -> None:
    done = prompt("--vmm", "/nowhere/vmm")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("shell: ")
    assert len(done.stderr.splitlines()) == 1
