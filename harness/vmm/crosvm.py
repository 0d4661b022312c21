"""crosvm (google/crosvm) as a VMM under test: its command line. Its devices are not sandboxed."""

from __future__ import annotations

import os
from typing import assert_never

from harness.vmm.abilities import Ability
from harness.vmm.base import Launch, NicConfig, TapByFds, TapByName, VhostUserSocket, VmConfig, Vmm
from harness.vmm.kernel_format import KernelFormat
from harness.vmm.on_terminal import TerminalVm, execute

WITHOUT = ("--no-balloon", "--no-rng", "--no-usb", "--no-i8042", "--no-rtc")
"""Devices that no guest of ours uses."""


class Crosvm(Vmm):
    """A build of crosvm. A vhost-user back end decides about everything that a NIC has: MAC, queues, features."""

    kind = "crosvm"
    banner = "crosvm"
    abilities = frozenset({Ability.PACKED_RINGS, Ability.SEVERAL_NICS, Ability.VHOST_NET, Ability.VHOST_USER})
    kernel_format = KernelFormat.BZIMAGE

    def fewest_cpus(self, config: VmConfig) -> int:
        return max([1, *(nic.pairs for nic in config.nics)])  # with fewer than pairs it has one pair

    def launch(self, config: VmConfig, launch: Launch) -> TerminalVm:
        # it looks for a syslog first, and most containers have none
        words = [os.fspath(self.path), "--no-syslog", "--log-level", "info", "run", "--disable-sandbox"]
        words += ["--cpus", str(self.cpus(config)), "--mem", str(config.memory_mib), *WITHOUT]
        words += ["--serial", "type=stdout,hardware=serial,num=1,console=true,stdin=true"]
        if config.initramfs is not None:
            words += ["--initrd", str(config.initramfs.absolute())]
        if config.cmdline:
            words += ["--params", config.cmdline]
        for nic in config.nics:
            words += self.nic_words(nic)
        if config.kernel is not None:
            words.append(str(config.kernel.absolute()))
        return TerminalVm(self, config, *execute(words, config, launch))

    def nic_words(self, nic: NicConfig) -> list[str]:
        """The command line's words for a NIC. Raises Lacks."""
        match nic.attachment:
            case TapByName(name, vhost):
                more = ",vhost-net" * vhost + ",packed-queue" * nic.packed
                return ["--net", f"tap-name={name},mac={nic.mac},vq-pairs={nic.pairs}{more}"]
            case VhostUserSocket(path, False):
                return ["--vhost-user", f"type=net,socket={path}"]
            case VhostUserSocket():
                self.lacks(Ability.VHOST_USER_SERVER)
            case TapByFds():
                self.lacks(Ability.DESCRIPTORS)
        assert_never(nic.attachment)
