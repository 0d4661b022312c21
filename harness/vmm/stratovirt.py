"""StratoVirt (openEuler) as a VMM under test: its q35-like machine, by its command line."""

from __future__ import annotations

import os
from typing import assert_never

from harness.vmm.abilities import Ability
from harness.vmm.base import Launch, NicConfig, TapByFds, TapByName, VhostUserSocket, VmConfig, Vmm
from harness.vmm.kernel_format import KernelFormat
from harness.vmm.on_terminal import TerminalVm, execute

QMP = "qmp.sock"
FIRST_SLOT = 2
SMALLEST_RING = 256
"""Of its queue-size; a driver may choose smaller rings all the same."""


class StratoVirt(Vmm):
    """A build of StratoVirt. It starts no VM without an initramfs, a kernel command line, and a monitor's socket."""

    kind = "stratovirt"
    banner = "StratoVirt"
    abilities = frozenset({Ability.SEVERAL_NICS, Ability.MAKES_TAPS, Ability.DESCRIPTORS, Ability.VHOST_USER})
    kernel_format = KernelFormat.BZIMAGE
    most_pairs = 16
    smallest_memory_mib = 128

    def launch(self, config: VmConfig, launch: Launch) -> TerminalVm:
        initramfs = config.initramfs
        if initramfs is None:
            initramfs = launch.workdir / "initramfs"
            initramfs.write_bytes(b"none")
        share = "on" if config.shared_memory else "off"
        words = [os.fspath(self.path), "-machine", f"q35,mem-share={share}"]
        words += ["-smp", str(self.cpus(config)), "-m", str(config.memory_mib)]
        words += ["-serial", "stdio", "-qmp", f"unix:{launch.workdir / QMP},server,nowait"]
        words += ["-initrd", str(initramfs), "-append", config.cmdline or "none"]
        if config.kernel is not None:
            words += ["-kernel", str(config.kernel)]
        for slot, nic in enumerate(config.nics, FIRST_SLOT):
            words += self.nic_words(nic, slot)
        return TerminalVm(self, config, *execute(words, config, launch))

    def nic_words(self, nic: NicConfig, slot: int) -> list[str]:
        """The command line's words for a NIC in this slot of the root bus."""
        words = []
        match nic.attachment:
            case TapByName(name):
                end = f"tap,id={nic.id}-backend,ifname={name},queues={nic.pairs}"
            case TapByFds(fds):
                end = f"tap,id={nic.id}-backend,fds={':'.join(map(str, fds))}"
            case VhostUserSocket(path, False):
                words += ["-chardev", f"socket,id={nic.id}-socket,path={path}"]
                end = f"vhost-user,id={nic.id}-backend,chardev={nic.id}-socket,queues={nic.pairs}"
            case VhostUserSocket():
                self.lacks(Ability.VHOST_USER_SERVER)
            case _:
                assert_never(nic.attachment)
        device = f"virtio-net-pci,id={nic.id},netdev={nic.id}-backend,bus=pcie.0,addr={slot:#x},mac={nic.mac}"
        sizes = f",mq={'on' if nic.pairs > 1 else 'off'},queue-size={max(nic.queue_size, SMALLEST_RING)}"
        return [*words, "-netdev", end, "-device", device + sizes]
