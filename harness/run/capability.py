"""What can this host run? Found out by booting, never assumed from /dev/kvm being there.

Answers are kept per host and build: until the machine restarts, its kernel changes or the binary does.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from harness.bounded import MIB, Unreadable, parse_json, read_file
from harness.cache import cache_root
from harness.deadline import Deadline
from harness.errors import DeadlineExceeded, HarnessError, Unavailable, VmmDied, unforeseen
from harness.guest.linux.image import stock_kernel
from harness.guest.probe.image import build_image
from harness.guest.probe.monitor import connect
from harness.host import kvm
from harness.host.syscalls import ViolationWatch
from harness.record.store import write_atomically
from harness.vmm.base import Launch, Vm, VmConfig, Vmm

MEMORY_MIB = 64
LINUX_MEMORY_MIB = 256
EDITION = "2"
"""Changes when the questions do, so that answers to older ones are not used."""
LINUX_PATIENCE = 5.0
"""Seconds in which a stock kernel must print its first line; with a KVM that works it takes a tenth of one.

What is late once is not kept, so that a slow moment costs one run its Linux tests, and no more. What is late in two
runs one after the other is kept for a while: a KVM that hangs a stock kernel would cost each run these seconds."""
LATE_IS_KEPT = 6 * 3600.0
"""Seconds."""

FULL_KVM = "it needs a KVM that runs stock kernels: run on bare metal, or where nested virtualisation is on"


PROBE_ONLY = "the tests with the probe guest say the same of the device"


@dataclass(frozen=True)
class Answer:
    """Whether something works here; `detail` is the time it took, or what went wrong.

    `vmm_fails`: the host could, and the VMM does not. Then its tests are not skipped: they run, and show it.
    `late`: it did not say so, a deadline did. `way_out` is what a skip names, where `detail` does not.
    `lasting`: it will be the same the next time.
    """

    works: bool
    detail: str
    vmm_fails: bool = False
    late: bool = False
    way_out: str = FULL_KVM
    lasting: bool = field(default=True, compare=False)
    of_the_host: bool = field(default=False, compare=False)
    """Whether the host lacks something, although it was the VMM that noticed."""


@dataclass(frozen=True)
class Capabilities:
    """What one build can do on this host."""

    probe_guest: Answer
    linux_guest: Answer
    snapshot: Answer

    def lacking(self, need: str) -> str | None:
        """None if the need is met; otherwise the reason for a skip, with the way out."""
        answer: Answer = getattr(self, need)
        if answer.works or answer.vmm_fails:
            return None
        way_out = f"; {answer.way_out}" if answer.way_out else ""
        return f"this host cannot run it ({need.replace('_', ' ')}: {answer.detail}){way_out}"

    @property
    def starts_no_vm(self) -> str | None:
        """What went wrong, if the VMM starts no VM with the probe guest: each of its tests would say the same."""
        return self.probe_guest.detail if self.probe_guest.vmm_fails else None

    @property
    def hangs(self) -> bool:
        """Whether the start of any VM would take all of a deadline."""
        return self.probe_guest.vmm_fails and self.probe_guest.late

    def lines(self) -> list[str]:
        """For the header of a run: a line each, with the time it took or what went wrong."""
        return [
            f"{name.replace('_', ' ')}: {'yes' if answer.works else 'no'} ({answer.detail})"
            for name, answer in vars(self).items()
        ]


def capabilities(vmm: Vmm, scratch: Callable[[], Path], cache: Path | None = None) -> Capabilities:
    """What this build can do on this host, from the cache or by trying. `scratch` gives fresh folders.

    KVM and the right to use it are asked for anew each time. What only took too long is kept if it did so twice, and
    then for some hours: it may be the load.
    """
    if vmm.needs_kvm and (why := kvm.lacking()) is not None:
        return Capabilities(*[Answer(False, why, way_out="")] * 3)  # the sentence has its own
    file = (cache or cache_root()) / "hosts" / f"{_key(vmm)}.json"
    if (known := _load(file)) is not None:
        return known
    found, lasting = _probe(vmm, scratch)
    if lasting:
        with suppress(OSError):  # a full disk costs the next run some seconds, no more
            _keep(found, file)
    return found


def _keep(found: Capabilities, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    late_before = file.with_suffix(".late")
    if any(answer.late for answer in vars(found).values()) and not late_before.exists():
        late_before.touch()
        return
    late_before.unlink(missing_ok=True)
    write_atomically(file, json.dumps(asdict(found), indent=1).encode())


def _load(file: Path) -> Capabilities | None:
    """What was found earlier; None without it, if that was late long ago, or another version of the suite wrote it."""
    try:
        plain = parse_json(read_file(file, MIB))
        known = Capabilities(
            **{
                name: Answer(a["works"] is True, str(a["detail"]), late=a.get("late") is True)
                for name, a in plain.items()
            }
        )
        age = time.time() - file.stat().st_mtime
    except (Unreadable, TypeError, KeyError, AttributeError, OSError):
        return None
    return None if age > LATE_IS_KEPT and any(answer.late for answer in vars(known).values()) else known


def _key(vmm: Vmm) -> str:
    """Changes with the build, the kernel, and each start of the machine, for KVM may be set up otherwise then."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    with vmm.path.open("rb") as binary:
        content = hashlib.file_digest(binary, "sha256").hexdigest()
    recipe = build_image(vmm.kernel_format).name
    return hashlib.sha256(
        "\0".join([EDITION, boot, platform.release(), vmm.kind, content, recipe]).encode()
    ).hexdigest()[:24]


def _probe(vmm: Vmm, scratch: Callable[[], Path]) -> tuple[Capabilities, bool]:
    """What works, and whether that is a lasting fact about this host: what is not is tried again next time."""
    probe_guest = _carries_the_probe(vmm, scratch)
    if probe_guest.of_the_host:
        return Capabilities(*[probe_guest] * 3), False
    if not probe_guest.works:  # it is made to run wherever anything runs
        return Capabilities(*[replace(probe_guest, vmm_fails=True)] * 3), False
    linux_guest = _carries_linux(vmm, scratch)
    snapshot = _try(lambda: _saves(vmm, scratch()))
    found = Capabilities(probe_guest, linux_guest, snapshot)
    return found, all(answer.lasting for answer in vars(found).values())


def _carries_linux(vmm: Vmm, scratch: Callable[[], Path]) -> Answer:
    """Whether a Linux guest of the suite's would find its NIC there."""
    if vmm.mmio_slots:
        return Answer(False, "the suite's Linux guest has no driver for virtio over MMIO", way_out=PROBE_ONLY)
    try:
        kernel = stock_kernel()
    except Exception as error:
        return Answer(False, f"not tried: {_in_words(error)}", lasting=False)
    return _try(lambda: _boots_linux(vmm, scratch(), kernel))


def shorten(text: str, limit: int = 160) -> str:
    """The beginning and the end: what was asked for, and the innermost cause."""
    return text if len(text) <= limit else f"{text[: limit // 2 - 3]} ... {text[-limit // 2 + 3 :]}"


def _try(attempt: Callable[[], str | None]) -> Answer:
    """The answer to an attempt, which may say what there is to know of it."""
    begin = time.monotonic()
    try:
        remark = attempt()
    except Exception as error:  # whatever it is, it is a reason for skips, and not the end of the run
        late, foreseen = isinstance(error, DeadlineExceeded), isinstance(error, HarnessError)
        if isinstance(error, Unavailable):
            return Answer(False, _in_words(error), way_out="", of_the_host=True)
        return Answer(False, shorten(_in_words(error)), late=late, lasting=foreseen)
    return Answer(True, f"{time.monotonic() - begin:.2f} s{f'; {remark}' if remark else ''}")


def _in_words(error: Exception) -> str:
    said = str(error) if isinstance(error, HarnessError) else unforeseen("the attempt failed", error)
    return said.splitlines()[0]


def _carries_the_probe(vmm: Vmm, scratch: Callable[[], Path]) -> Answer:
    """Whether the probe guest answers. Where the VMM's own filter is in the way, by another way to its serial port."""
    tried = _try(lambda: _answers(vmm, scratch()))
    if tried.works or not any(word in tried.detail for word in ("SIGSYS", "seccomp")):
        return tried
    why = f"{tried.detail}{_forbidden_call(vmm, scratch())}"
    if (way := vmm.change_serial()) is not None:
        again = _try(lambda: _answers(vmm, scratch()))
        if again.works:  # not kept: the next run's build is to be told of the other way as well
            return replace(again, detail=f"{again.detail}, over {way}: else {why}", lasting=False)
    return replace(tried, detail=why)


def _forbidden_call(vmm: Vmm, folder: Path) -> str:
    """Which thread made which system call, if the VMM's own filter ends it once its serial port is used; or nothing."""
    config = _bare(vmm)
    with suppress(HarnessError), ViolationWatch() as watch, vmm.launch(config, Launch(folder)) as vm:
        watch.attach(vm.pid)
        with suppress(HarnessError):
            _greeted(vm)
        return "".join(f"; {violation}" for violation in watch.violations()[:1])
    return ""


def _bare(vmm: Vmm) -> VmConfig:
    """The probe guest alone."""
    return VmConfig(build_image(vmm.kernel_format), memory_mib=vmm.memory_mib(MEMORY_MIB))


def _greeted(vm: Vm) -> str:
    """What reaching the guest's memory costs, if it is more than usual."""
    _, memory = connect(vm)
    memory.close()
    return memory.cost


def _answers(vmm: Vmm, folder: Path) -> str:
    """The probe guest boots and answers. Raises Unavailable where the VMM ends for something that the host lacks."""
    try:
        with vmm.launch(_bare(vmm), Launch(folder)) as vm:
            return _greeted(vm)
    except VmmDied as death:
        for words, way_out in vmm.blames_the_host.items():
            if words in death.output:
                raise Unavailable(f"{vmm.name} says {words!r}: {way_out}") from death
        raise


def _boots_linux(vmm: Vmm, folder: Path, kernel: Path) -> None:
    """A stock kernel gets as far as its first line."""
    config = VmConfig(
        kernel,
        cmdline="earlyprintk=ttyS0 console=ttyS0 panic=-1 no_timer_check",
        memory_mib=vmm.memory_mib(LINUX_MEMORY_MIB),
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
    with vmm.launch(_bare(vmm), Launch(folder)) as vm:
        _greeted(vm)
        vm.pause()
        vm.snapshot(target)
