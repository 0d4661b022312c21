"""A boot over the network: the firmware loads iPXE, iPXE a script, and the script a file."""

from __future__ import annotations

import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass

from harness.deadline import wait_until
from harness.errors import DeadlineExceeded, Owner
from harness.guest.firmware.files import FirmwareFiles
from harness.guest.firmware.server import BootServer
from harness.host.queues import frames_by_queue
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.base import Vm, VmConfig

MEMORY_MIB = 256
PAYLOAD = 1 << 20
"""Bytes of the file: some 700 frames, each of which is awaited."""
PATIENCE = 120.0
"""Seconds for a boot; on an emulated machine it takes 30."""

_SCRIPT = """#!ipxe
imgfetch --name payload tftp://${next-server}/payload || goto failed
echo netboot: the file is here
sleep 3600
:failed
echo netboot: failed
sleep 3600
"""
_ENDS = re.compile(r"netboot: (the file is here|failed)|PXE-E\d+")


@dataclass(frozen=True)
class NetworkBoot:
    """What came of a boot.

    `fetched`: the guest has an address and the file. `pairs`: those that the host held at the end. `frames`: how
    many frames for the guest the kernel put into each queue. `console`: what the guest said last.
    """

    fetched: bool
    seconds: float
    pairs: frozenset[int]
    frames: tuple[int, ...]
    console: str

    def __repr__(self) -> str:
        last_words = " ".join(self.console.split())[-80:]
        outcome = "the file came" if self.fetched else f"no file ({last_words!r})"
        return f"{outcome} in {self.seconds:.0f} s; host: pairs {sorted(self.pairs)}; frames: {self.frames}"


def network_boot(bed: Testbed, files: FirmwareFiles, plan: NicPlan) -> NetworkBoot:
    """Boot a VM with one NIC of this plan over the network, and stop it."""
    tap = bed.tap(plan.pairs)
    folder = bed.fresh_folder("netboot")
    shutil.copy(files.ipxe, folder / "ipxe.efi")
    (folder / "script").write_text(_SCRIPT)
    (folder / "payload").write_bytes(bytes(PAYLOAD))
    server = BootServer(files.dnsmasq, tap.name, folder, "ipxe.efi", "script")
    try:
        nic = bed.nic_config(plan, 0, tap)
        begin = time.monotonic()
        vm = bed.launch(VmConfig(None, (nic,), firmware=files.firmware, memory_mib=MEMORY_MIB))
        console = _await_end(vm)
        end = _ENDS.search(console)
        outcome = NetworkBoot(
            fetched=end is not None and end[1] == "the file is here",
            seconds=time.monotonic() - begin,
            pairs=tap.view(vm.pid).pairs,
            frames=frames_by_queue(tap.index, plan.pairs),
            console=console,
        )
        bed.journal.add("guest", f"network boot: {outcome}")
        vm.stop()
        return outcome
    finally:
        server.close()


def _await_end(vm: Vm) -> str:
    """The console once the boot has come to an end, good or bad, or took too long."""

    def ended() -> bool:
        vm.serial.drain()
        vm.check_alive("its firmware booted over the network")
        return _ENDS.search(vm.serial.transcript.decode(errors="replace")) is not None

    with suppress(DeadlineExceeded):
        wait_until("the firmware to boot over the network", ended, owed_by=Owner.GUEST, within=PATIENCE)
    return vm.serial.transcript.decode(errors="replace")
