"""What a Linux guest costs: its image built from nothing, and a boot up to the first command over SSH."""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from harness.bench import Figures
from harness.deadline import Deadline
from harness.guest.linux.console import BOOT_SECONDS
from harness.guest.linux.guest import LinuxGuest
from harness.guest.linux.image import linux_image
from harness.host import namespace
from harness.run.capability import capabilities
from harness.scratch import Scratch
from harness.testbed.linux_machines import LinuxMachines, Wanted
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.base import Vmm

FEWER = 4
"""How many times fewer a guest is booted than asked for."""
BUILDS = 3
"""Times that the image is built: each fetches the packages anew."""


def measure(vmms: Sequence[Vmm], rounds: int, scratch: Scratch) -> Figures:
    """All figures, by title and build; those that run no Linux guest here are named on stderr, and left out."""
    found: Figures = defaultdict(list)
    found["Linux image from nothing, downloads included, s", "-"] = [image_build() for _ in range(BUILDS)]
    machines = LinuxMachines(linux_image(), scratch.folder)
    able = [vmm for vmm in vmms if _runs_linux(vmm, scratch)]
    namespace.enter()
    assert machines.files  # making the keys is no part of any figure
    for _ in range(max(1, rounds // FEWER)):
        for vmm in able:
            with Testbed(vmm, scratch.folder()) as bed:
                for title, figure in boot(bed, machines).items():
                    found[title, vmm.name].append(figure)
    return found


def _runs_linux(vmm: Vmm, scratch: Scratch) -> bool:
    reason = capabilities(vmm, scratch.folder).lacking("linux_guest")
    if reason is not None:
        print(f"note: {vmm.name}: {reason}", file=sys.stderr)
    return reason is None


def image_build() -> float:
    """Seconds to make the image where nothing is in the cache. Needs the network."""
    begin = time.perf_counter()
    with _empty_cache():
        linux_image()
    return time.perf_counter() - begin


@contextmanager
def _empty_cache() -> Iterator[None]:
    usual = os.environ.get("XDG_CACHE_HOME")
    with closing(Scratch()) as scratch:  # locked: no run tidies it up
        os.environ["XDG_CACHE_HOME"] = str(scratch.folder())
        try:
            yield
        finally:
            del os.environ["XDG_CACHE_HOME"]
            if usual is not None:
                os.environ["XDG_CACHE_HOME"] = usual


def boot(bed: Testbed, machines: LinuxMachines) -> Mapping[str, float]:
    """From executing the VMM to the guest's /init, to the first command over SSH, and the latter by the former."""
    config, _ = machines.vm_config(bed, Wanted(bed.vmm.name, (NicPlan(),), "tap"))
    begin = time.perf_counter()
    vm = bed.launch(config)
    deadline = Deadline(BOOT_SECONDS)  # for all lines together: a kernel that hangs complains of it for ever
    while vm.serial.read_line(within=deadline, awaiting="the guest's /init") != b"guest init":
        pass
    init = time.perf_counter() - begin
    guest = LinuxGuest.boot(vm, machines.files.keys)
    bed.on_close(guest.close)
    guest.check("true")
    command = time.perf_counter() - begin
    return {
        "VMM exec to Linux guest's /init, s": init,
        "VMM exec to first SSH command, s": command,
        "first SSH command by /init": command / init,
    }
