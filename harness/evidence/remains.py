"""What is left of a failed test while its VM is still there: the files of a failure bundle."""

from __future__ import annotations

import json
import os
import re
import shlex
import struct
from collections.abc import Iterable
from pathlib import Path

from harness.errors import HarnessError
from harness.evidence.bundle import LIMIT, Content
from harness.host.backend import VhostUserPeer
from harness.host.kvm import KVM
from harness.host.syscalls import supervisor_of
from harness.process.child import COMMAND
from harness.testbed.testbed import Testbed
from harness.vmm.base import Vm

_PCAP_FILE = struct.Struct("<IHHiIII")
_PCAP_RECORD = struct.Struct("<IIII")
_LINKTYPE_ETHERNET = 1


def remains(testbed: Testbed, *, memory: bool) -> dict[str, Content]:
    """Names and contents: per VM its command line, log, console and system calls; per NIC what was sent; snapshots.

    Where there is a vhost-user back end, what was said to it. With `memory`, the guest's RAM as well. What a dead
    VMM can no longer tell is left out.
    """
    files: dict[str, Content] = {"host.json": _host()}
    for number, vm in enumerate(testbed.vms):
        files |= {f"vm{number}/{name}": content for name, content in _of_vm(vm, memory).items()}
    for nic in testbed.nics:
        if nic.sent:
            files[f"{nic.config.id}-sent.pcap"] = pcap(nic.sent)
        if isinstance(nic.backend, VhostUserPeer):
            files[f"{nic.config.id}-vhost-user.txt"] = "\n".join(map(str, nic.backend.messages())) + "\n"
    return files | _died_at_start(testbed) | _snapshots(testbed.folder, everything=memory)


def _died_at_start(testbed: Testbed) -> dict[str, Content]:
    """Command line and log of the processes that never became a VM of the test."""
    known = {vm.process.log for vm in testbed.vms}
    logs = [log for log in sorted(testbed.folder.glob("vm*/vmm.log")) if log not in known]
    return {
        f"died-at-start/{file.relative_to(testbed.folder)}": file
        for log in logs
        for file in (log, log.with_name(COMMAND))
        if file.exists()
    }


def _snapshots(folder: Path, *, everything: bool) -> dict[str, Content]:
    """The files of the snapshots that the test wrote; guest memory, which is large, only on request."""
    files = (path for path in sorted(folder.glob("snapshot*/**/*")) if path.is_file())
    return {
        str(path.relative_to(folder)): path for path in files if everything or path.stat().st_size <= LIMIT
    }


def _host() -> str:
    system = os.uname()
    processors = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", processors, re.MULTILINE)
    facts = {
        "kernel": system.release,
        "machine": system.machine,
        "cpus": os.cpu_count(),
        "cpu": model[1] if model else "",
        "kvm": os.access(KVM, os.R_OK | os.W_OK),
        "load": os.getloadavg(),
    }
    return json.dumps(facts, indent=1)


def _of_vm(vm: Vm, memory: bool) -> dict[str, Content]:
    found: dict[str, Content] = {
        COMMAND: shlex.join(vm.process.argv) + "\n",
        "version.txt": f"{vm.vmm.kind} {vm.vmm.version}\n{vm.vmm.path}\n",
        "exit.txt": f"{vm.exit_status() or 'alive'}\n",
        "vmm.log": vm.log(),
        "console.txt": bytes(vm.serial.transcript),
    }
    if (supervisor := supervisor_of(vm.process)) is not None:
        found["tunsetqueue.txt"] = "\n".join(map(str, supervisor.calls)) + "\n"
    if vm.exit_status() is None:
        try:
            found["info.json"] = json.dumps(vm.info(), indent=1)
            if memory:
                found["memory.bin"] = _memory(vm)
        except (HarnessError, OSError) as error:  # it may die while it is asked: the rest is kept
            found["not-told.txt"] = f"{error}\n"
    return found


def _memory(vm: Vm) -> bytes:
    mapped = vm.guest_memory()
    try:
        return mapped.read(0, mapped.size)
    finally:
        mapped.close()


def pcap(batches: Iterable[tuple[float, list[bytes]]]) -> bytes:
    """Frames as a packet capture (the classic libpcap format, Ethernet, microseconds)."""
    parts = [_PCAP_FILE.pack(0xA1B2C3D4, 2, 4, 0, 0, 65535, _LINKTYPE_ETHERNET)]
    for seconds, frames in batches:
        whole, fraction = int(seconds), int(seconds % 1 * 1e6)
        for frame in frames:
            parts += [_PCAP_RECORD.pack(whole, fraction, len(frame), len(frame)), frame]
    return b"".join(parts)
