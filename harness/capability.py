"""What can this host run? Found out by booting, never assumed from /dev/kvm being there.

Answers are kept per host and build: until the machine restarts, its kernel changes or the binary does.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.deadline import Deadline
from harness.errors import HarnessError
from harness.evidence.store import write_atomically
from harness.guest.cache import cache_root
from harness.guest.linux.image import stock_kernel
from harness.guest.probe.image import build_image
from harness.guest.probe.monitor import Monitor
from harness.vmm.base import Launch, Vm, VmConfig, Vmm

MEMORY_MIB = 64
LINUX_MEMORY_MIB = 256
LINUX_PATIENCE = 10.0
"""Seconds in which a stock kernel must print its first line; with a KVM that works it takes a tenth of one."""

FULL_KVM = "it needs a KVM that runs stock kernels: run on bare metal, or where nested virtualisation is on"


@dataclass(frozen=True)
class Answer:
    """Whether something works here; `detail` is the time it took, or what went wrong."""

    works: bool
    detail: str


@dataclass(frozen=True)
class Capabilities:
    """What one build can do on this host."""

    probe_guest: Answer
    linux_guest: Answer
    snapshot: Answer

    def lacking(self, need: str) -> str | None:
        """None if the need is met; otherwise the reason for a skip, with the way out."""
        answer: Answer = getattr(self, need)
        if answer.works:
            return None
        return f"this host cannot run it ({need.replace('_', ' ')}: {answer.detail}); {FULL_KVM}"

    def lines(self) -> list[str]:
        """For the header of a run: a line each, with the time it took or what went wrong."""
        return [
            f"{name.replace('_', ' ')}: {'yes' if answer.works else 'no'} ({answer.detail})"
            for name, answer in vars(self).items()
        ]


def capabilities(vmm: Vmm, scratch: Callable[[], Path], cache: Path | None = None) -> Capabilities:
    """What this build can do on this host, from the cache or by trying. `scratch` gives fresh folders."""
    file = (cache or cache_root()) / "hosts" / f"{_key(vmm)}.json"
    if file.exists():
        try:
            return _load(json.loads(file.read_text()))
        except (ValueError, TypeError, KeyError):
            file.unlink(missing_ok=True)  # written by another version of the suite
    try:
        kernel: Path | None = stock_kernel()
    except HarnessError as error:
        # not a fact about this host: tried again next time
        no_kernel = Answer(False, f"not tried: {str(error).splitlines()[0]}")
        return _probe(vmm, scratch, None, no_kernel)
    found = _probe(vmm, scratch, kernel)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(asdict(found), indent=1).encode())
    return found


def _load(plain: Mapping[str, Mapping[str, object]]) -> Capabilities:
    return Capabilities(**{name: Answer(bool(a["works"]), str(a["detail"])) for name, a in plain.items()})


def _key(vmm: Vmm) -> str:
    """Changes with the build, the kernel, and each start of the machine, for KVM may be set up otherwise then."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    content = hashlib.file_digest(vmm.path.open("rb"), "sha256").hexdigest()
    recipe = build_image().name
    return hashlib.sha256("\0".join([boot, platform.release(), content, recipe]).encode()).hexdigest()[:24]


def _probe(
    vmm: Vmm, scratch: Callable[[], Path], kernel: Path | None, no_kernel: Answer | None = None
) -> Capabilities:
    if vmm.kind == "cloud-hypervisor" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        why = "/dev/kvm is missing" if not Path("/dev/kvm").exists() else "no permission for /dev/kvm"
        return Capabilities(*[Answer(False, why)] * 3)
    probe_guest = _try(lambda: _answers(vmm, scratch()))
    linux_guest = no_kernel or _try(lambda: _boots_linux(vmm, scratch(), kernel))
    if vmm.kind == "qemu":
        return Capabilities(probe_guest, linux_guest, Answer(False, "QEMU writes no snapshots of this kind"))
    return Capabilities(probe_guest, linux_guest, _try(lambda: _saves(vmm, scratch())))


def shorten(text: str, limit: int = 160) -> str:
    """The beginning and the end: what was asked for, and the innermost cause."""
    return text if len(text) <= limit else f"{text[: limit // 2 - 3]} ... {text[-limit // 2 + 3 :]}"


def _try(attempt: Callable[[], None]) -> Answer:
    begin = time.monotonic()
    try:
        attempt()
    except HarnessError as error:
        return Answer(False, shorten(str(error).splitlines()[0]))
    return Answer(True, f"{time.monotonic() - begin:.2f} s")


def _greeted(vm: Vm) -> None:
    memory = vm.guest_memory()
    try:
        Monitor(vm.serial, memory, memory.size)
    finally:
        memory.close()


def _answers(vmm: Vmm, folder: Path) -> None:
    """The probe guest boots and answers."""
    with vmm.launch(VmConfig(build_image(), memory_mib=MEMORY_MIB), Launch(folder)) as vm:
        _greeted(vm)


def _boots_linux(vmm: Vmm, folder: Path, kernel: Path | None) -> None:
    """A stock kernel gets as far as its first line."""
    config = VmConfig(
        kernel,
        cmdline="earlyprintk=ttyS0 console=ttyS0 panic=-1",
        memory_mib=LINUX_MEMORY_MIB,
    )
    with vmm.launch(config, Launch(folder)) as vm:
        deadline = Deadline(LINUX_PATIENCE)
        while b"Linux version" not in vm.serial.read_line(
            within=deadline, awaiting="a stock kernel's first line"
        ):
            pass


def _saves(vmm: Vmm, folder: Path) -> None:
    """A paused VM's state can be written."""
    target = folder / "snapshot"
    target.mkdir()
    with vmm.launch(VmConfig(build_image(), memory_mib=MEMORY_MIB), Launch(folder)) as vm:
        _greeted(vm)
        vm.pause()
        vm.snapshot(target)
