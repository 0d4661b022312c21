"""kvmtool (lkvm) as a VMM under test: its command line. Its guest's memory is private to it."""

from __future__ import annotations

import os
from typing import assert_never

from harness.vmm.abilities import Ability
from harness.vmm.base import Launch, NicConfig, TapByFds, TapByName, VhostUserSocket, VmConfig, Vmm
from harness.vmm.kernel_format import KernelFormat
from harness.vmm.on_terminal import TerminalVm, execute


class Kvmtool(Vmm):
    """A build of kvmtool."""

    kind = "kvmtool"
    banner = "kvm tool"
    abilities = frozenset({Ability.SEVERAL_NICS, Ability.MAKES_TAPS})
    kernel_format = KernelFormat.BZIMAGE
    blames_the_host = {
        "Your CPU does not support hardware virtualization": "it looks for the processor's flag vmx or svm, and for "
        "nothing else: run it where /proc/cpuinfo has one of them"
    }
    most_pairs = 8
    queue_for_each_pair = False

    def launch(self, config: VmConfig, launch: Launch) -> TerminalVm:
        words = [os.fspath(self.path), "run", "--nodefaults", "--console", "serial"]
        words += ["--cpus", str(self.cpus(config)), "--mem", str(config.memory_mib)]
        if config.kernel is not None:
            words += ["--kernel", str(config.kernel.absolute())]
        if config.initramfs is not None:
            words += ["--initrd", str(config.initramfs.absolute())]
        if config.cmdline:
            words += ["--params", config.cmdline]
        for nic in config.nics:
            words += ["--network", self._network_option(nic)]
        if not config.nics:
            words += ["--network", "mode=none"]
        # it keeps a socket in a folder below its home
        home = {"HOME": os.fspath(launch.workdir.absolute())}
        return TerminalVm(self, config, *execute(words, config, launch, home))

    def _network_option(self, nic: NicConfig) -> str:
        match nic.attachment:
            case TapByName(name):
                return f"mode=tap,tapif={name},guest_mac={nic.mac},mq={nic.pairs}"
            case TapByFds():
                self.lacks(Ability.DESCRIPTORS)
            case VhostUserSocket():
                self.lacks(Ability.VHOST_USER)
        assert_never(nic.attachment)
