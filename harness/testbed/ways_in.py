"""How to get at a VM that runs, and at the guest in it: lines for a shell."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.guest.linux.driver import LinuxDriver
from harness.testbed.nic import Nic
from harness.vmm.base import Vm


def ways_in(vms: Sequence[Vm], nics: Sequence[Nic]) -> list[str]:
    """A line each, what it is for first. They work as long as the VM lives, from another terminal of this host."""
    return [line for vm in vms for line in _of_vm(vm, nics)]


def _of_vm(vm: Vm, nics: Sequence[Nic]) -> Iterator[str]:
    if (status := vm.exit_status()) is not None:
        yield f"{vm.vmm.name}: process {vm.pid} has ended ({status}); its log: {vm.process.log}"
        return
    inside = f"nsenter --target {vm.pid} {_user_namespace()}--net"
    ways = {
        "its network": f"{inside} ip link",
        **vm.ways_in(),
        "its threads": f"gdb --pid {vm.pid}",
        "its log": f"tail -f {vm.process.log}",
    }
    for nic in nics:
        if nic.vm is vm and isinstance(nic.driver, LinuxDriver):
            ways[f"the guest of {nic.config.id}"] = (
                f"{inside} {nic.driver.guest.ssh_line(vm.process.log.parent)}"
            )
    yield f"{vm.vmm.name}: process {vm.pid}"
    width = max(map(len, ways))
    yield from (f"    {name:<{width}}  {line}" for name, line in ways.items())


def _user_namespace() -> str:
    """What nsenter needs to be told where the run made itself root in a user namespace (user_namespaces(7))."""
    whole = Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
    return "" if whole and os.geteuid() == 0 else "--user --preserve-credentials "
