"""Whether a cloud-hypervisor's threads have come to where they wait, or are still being started.

A device's worker that starts while `vm.pause` is under way parks itself without having acknowledged the pause, and
the pause waits for it for ever (virtio-devices/src/epoll_helper.rs; seen on 683afbf22, 5c7e1a45a, ae44c2971).
conformance/snapshot/test_pause.py judges that where thread starts are slowed down. Elsewhere a pause comes when all
workers are in place, so that no verdict depends on a race of microseconds.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

WAITING = {
    "x86_64": {0, 7, 16, 19, 20, 23, 34, 35, 45, 47, 128, 202, 219, 230, 232, 270, 271, 281, 288},
    "aarch64": {22, 29, 63, 65, 66, 72, 73, 98, 101, 115, 128, 137, 202, 207, 212, 242},
}[os.uname().machine]
"""System calls that a thread makes in its loop: read, readv, writev, ioctl, futex, epoll_wait, poll, recvmsg and kin,
and clock_nanosleep, which v51's worker of a NIC makes while it looks for a back end that went away.

A worker that is being started makes others: seccomp, prctl, mmap, epoll_create1, epoll_ctl.
"""
VCPU = "vcpu"
STARTER = "vmm"
"""The thread that starts workers. A new one bears its name until it gives itself another."""


def being_started(pid: int) -> list[str]:
    """The threads, vCPUs aside, that are not where a thread waits: `name[tid] in system call N`, or `running`.

    Empty where the kernel does not tell, and for a process that has ended: then nothing can be awaited.
    """
    found: list[str] = []
    starters = 0
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            name = (task / "comm").read_text().rstrip("\n")
            if name.startswith(VCPU):
                continue
            starters += name == STARTER
            call = (task / "syscall").read_text().split()[0]
            if call == "running":
                found.append(f"{name}[{task.name}] running")
            elif int(call) not in WAITING:
                found.append(f"{name}[{task.name}] in system call {call}")
    return [*found, f"{starters} threads named {STARTER}"] if starters > 1 else found
