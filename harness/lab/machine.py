"""The lab's machine: the QEMU command line, and what its init is told."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from harness.cache import cache_root
from harness.checkout import PACKAGE, ROOT
from harness.deadline import PACE
from harness.errors import Unavailable
from harness.guest.linux import cpio
from harness.lab.agent import PORT
from harness.lab.image import LabImage
from harness.lab.state import State
from harness.lab.visible import hidden
from harness.process.tether import tied
from harness.vmm.find import QEMU_PROGRAM

MEMORY_MIB = 3072
SLOWNESS = 8
"""What deadlines are multiplied by in the lab."""

PROCESSOR = "max,la57=off,avx=off,avx2=off"
"""SVM, and nothing that costs more to emulate than it saves: without AVX, Python starts twice as fast."""
KERNEL_OPTIONS = "console=ttyS0 quiet panic=-1 mitigations=off nowatchdog maxcpus=1 no_timer_check"
"""One CPU until init: NOHZ has begun by then. It patches the kernel's code (idle_vm.py says what may follow)."""


def cpus() -> int:
    """How many CPUs the lab has: the host's, two at least, and no more than it can use."""
    return max(2, min(8, os.cpu_count() or 1))


def command_line(image: LabImage, state: State, port: int) -> list[str]:
    """The words that start the machine. `port` is an inherited descriptor: a socket to the agent.

    Writes this start's part of the initramfs. Raises Unavailable without QEMU.
    """
    qemu = shutil.which(QEMU_PROGRAM)
    if qemu is None:
        raise Unavailable(f"the lab needs {QEMU_PROGRAM}: apt-get install qemu-system-x86")
    _write_archive(image, state)
    exports = (("host", "/", "on"), ("cached", "/", "on"), ("share", str(state.share), "off"))
    files = [
        word
        for tag, path, readonly in exports
        for word in (
            "-fsdev",
            f"local,id={tag},path={_escaped(path)},security_model=none,readonly={readonly},multidevs=remap",
            "-device",
            f"virtio-9p-pci,fsdev={tag},mount_tag={tag}",
        )
    ]
    words = [
        qemu,
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", PROCESSOR),
        *("-smp", str(cpus()), "-m", str(MEMORY_MIB)),
        *("-kernel", str(image.kernel), "-initrd", str(state.archive), "-append", KERNEL_OPTIONS),
        *("-chardev", f"file,id=console,path={_escaped(str(state.console))}", "-serial", "chardev:console"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,fd={port}"),
        *("-device", f"virtserialport,chardev=agent,name={PORT}"),
        *monitor(Path(state.monitor.name)),
        *("-device", "virtio-rng-pci"),
        *files,
    ]
    return tied(words)


def monitor(address: Path) -> list[str]:
    """The words by which QEMU can be asked by QMP at a socket; a relative path is below its working folder."""
    return [
        "-chardev",
        f"socket,id=monitor,path={address},server=on,wait=off",
        "-mon",
        "chardev=monitor,mode=control",
    ]


def _escaped(path: str) -> str:
    """A path as a value of a QEMU option."""
    return path.replace(",", ",,")


def _write_archive(image: LabImage, state: State) -> None:
    """The initramfs with /lab.conf, for the init of fixtures/images/lab."""
    environment = {
        "HOME": str(Path.home()),
        "LANG": "C.UTF-8",
        "MQ_PACE": f"{SLOWNESS * PACE:g}",
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(PACKAGE.parent),
    }
    agent = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in environment.items())]
    agent += [sys.executable, "-m", "harness.lab.agent"]
    python = (Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parents[1])
    folders = {
        "CACHED": [Path("/usr"), *python],
        "VISIBLE": hidden([ROOT, PACKAGE, *python, cache_root()]),
        "SHARE": [state.share],
    }
    lines = [f"{name}={shlex.quote(_list(paths))}" for name, paths in folders.items()]
    lines.append(f"AGENT={shlex.quote(shlex.join(agent))}")
    own = cpio.archive({"lab.conf": cpio.file("\n".join([*lines, ""]).encode())})
    state.archive.write_bytes(image.initramfs.read_bytes() + own)


def _list(paths: Iterable[Path]) -> str:
    return "\n".join(dict.fromkeys(map(str, paths)))
