"""What the lab costs a run of the suite: until its first test starts there, and a Linux guest's tests with and without
its boot. Each figure is taken from a whole run, as a user has it."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from harness.bench import Figures
from harness.checkout import ROOT
from harness.errors import DeadlineExceeded, Owner, Unavailable
from harness.lab.client import Lab
from harness.scratch import Scratch
from harness.vmm.base import Vmm

FEWER = 10
"""How many times fewer the lab is started than other figures are taken."""
RUN_SECONDS = 1200.0
TESTS = "conformance/mq/test_pairs_set.py::test_count_is_acknowledged"
CHOSEN = "linux and tap"
"""One guest serves them all: the first boots it."""

NO_PASS = {"failure", "error", "skipped"}

FROM_NOTHING = "pytest with the lab down to its first test there, s"
LAB_UP = "pytest with the lab up to its first test there, s"
WITH_BOOT = "a Linux guest's test in the lab, boot included, s"
WITHOUT_BOOT = "a Linux guest's test in the lab, its guest up already, s"


def measure(vmms: Sequence[Vmm], rounds: int, scratch: Scratch) -> Figures:
    """All figures, by title and build. It ends a lab that is up, and leaves it up. Downloads are no part of them.

    Raises Unavailable where no build is one for the lab, or no test was run there.
    """
    found: Figures = defaultdict(list)
    chosen = [vmm for vmm in vmms if vmm.needs_kvm]
    if not chosen:
        raise Unavailable("the lab is for VMMs that need KVM: name a build of one with --vmm PATH")
    for _ in range(max(1, rounds // FEWER)):
        Lab().down()
        for title in (FROM_NOTHING, LAB_UP):
            for vmm in chosen if title == LAB_UP else chosen[:1]:
                until_first, tests = run(vmm, scratch.folder())
                found[title, vmm.name].append(until_first)
                found[WITH_BOOT, vmm.name].append(tests[0])
                found[WITHOUT_BOOT, vmm.name].append(statistics.median(tests[1:]))
    return found


def run(vmm: Vmm, folder: Path) -> tuple[float, list[float]]:
    """One run: seconds from executing pytest until its first test starts in the lab, and what each test took,
    its setup and teardown included."""
    record = folder / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", TESTS, "-k", CHOSEN]
    command += ["--lab", "always", "--vmm", vmm.option, "--report", str(folder)]
    command.append(f"--junitxml={record}")
    begin = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        watchdog = threading.Timer(RUN_SECONDS, process.send_signal, [signal.SIGINT])
        watchdog.start()
        assert process.stdout is not None
        said, until_first = b"", 0.0
        while data := os.read(process.stdout.fileno(), 1 << 16):
            said += data
            # the test's name is printed once the lab has everything it needs to run it
            if not until_first and f"{TESTS}[".encode() in said:
                until_first = time.perf_counter() - begin
        watched = watchdog.is_alive()
        watchdog.cancel()
    if not watched:
        raise DeadlineExceeded(
            f"waited {RUN_SECONDS:.0f} s for a run in the lab to end; it said:\n{_end(said)}",
            Owner.HOST,
        )
    cases = ElementTree.parse(record).getroot().iter("testcase") if record.exists() else ()
    took = [float(case.attrib["time"]) for case in cases if not NO_PASS & {child.tag for child in case}]
    if not until_first or len(took) < 2 or b"ran in the lab" not in said:
        raise Unavailable(f"the lab ran no tests of {vmm.name}; the run said:\n{_end(said)}")
    return until_first, took


def _end(said: bytes) -> str:
    return "\n".join(said.decode(errors="replace").splitlines()[-30:])
