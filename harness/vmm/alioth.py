"""alioth (google/alioth) as a VMM under test: its command line. It has no API."""

from __future__ import annotations

import os
from typing import assert_never

from harness.vmm.abilities import Ability
from harness.vmm.base import Launch, NicConfig, TapByFds, TapByName, VhostUserSocket, VmConfig, Vmm
from harness.vmm.on_terminal import TerminalVm, execute


class Alioth(Vmm):
    """A build of alioth. It takes its pairs, sizes and MAC from a vhost-user back end, not from its command line."""

    kind = "alioth"
    banner = "alioth-cli"
    abilities = frozenset({Ability.SEVERAL_NICS, Ability.MAKES_TAPS, Ability.VHOST_USER})

    def launch(self, config: VmConfig, launch: Launch) -> TerminalVm:
        backing = "memfd" if config.shared_memory else "anon"
        words = [os.fspath(self.path), "--log-spec", "info", "boot"]
        words += ["--cpu", f"count={self.cpus(config)}"]
        words += ["--memory", f"size={config.memory_mib}M,backend={backing}"]
        if config.kernel is not None:
            words += ["--pvh", str(config.kernel.absolute())]
        if config.initramfs is not None:
            words += ["--initramfs", str(config.initramfs.absolute())]
        if config.cmdline:
            words += ["--cmdline", config.cmdline]
        for nic in config.nics:
            words += ["--net", self._net_option(nic)]
        return TerminalVm(self, config, *execute(words, config, launch))

    def _net_option(self, nic: NicConfig) -> str:
        match nic.attachment:
            case TapByName(name):
                return f"tap,mac={nic.mac},mtu=1500,qp={nic.pairs},if={name}"
            case VhostUserSocket(path, False):
                return f"vu,socket={path}"
            case VhostUserSocket():
                self.lacks(Ability.VHOST_USER_SERVER)
            case TapByFds():
                self.lacks(Ability.DESCRIPTORS)
        assert_never(nic.attachment)
