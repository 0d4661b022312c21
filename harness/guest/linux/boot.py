"""From a Linux image to a VM's configuration: files with the keys in them, and a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from harness.guest.linux.address import management_mac
from harness.guest.linux.image import LinuxImage
from harness.guest.linux.keys import Keys, make_keys, with_keys
from harness.vmm.base import Attachment, NicConfig, VmConfig

MEMORY_MIB = 128
MANAGEMENT_ID = "mgmt"


@dataclass(frozen=True)
class BootFiles:
    """What every Linux guest of a run boots from, and the keys that open it."""

    kernel: Path
    initramfs: Path
    keys: Keys


def prepare(image: LinuxImage, folder: Path) -> BootFiles:
    """Make this run's keys, and write an initramfs with them into `folder`. Do it once, not for each VM."""
    keys = make_keys()
    return BootFiles(image.kernel, with_keys(image.initramfs, keys, folder / "initramfs"), keys)


def management_nic(guest: IPv4Address, attachment: Attachment) -> NicConfig:
    """The NIC that carries SSH, for a guest that is to have this address."""
    return NicConfig(MANAGEMENT_ID, management_mac(guest), 1, attachment)


def linux_vm(
    files: BootFiles,
    nics: Sequence[NicConfig],
    management: NicConfig,
    *,
    addresses: Mapping[str, IPv4Interface] = {},
    cpus: int = 4,
    memory_mib: int = MEMORY_MIB,
    kernel_options: str = "",
) -> VmConfig:
    """A VM that boots the Linux guest, whose interfaces have the names of the NICs' ids, and are up.

    `addresses` are those that the guest takes, by NIC id; a NIC without one gets none.
    `kernel_options` are more words for the kernel's command line, such as `maxcpus=1`.
    """
    words = [f"guest.{nic.id}={nic.mac},{addresses.get(nic.id, 'up')}" for nic in nics]
    return VmConfig(
        kernel=files.kernel,
        initramfs=files.initramfs,
        # On a panic the guest halts, so that its last words stay and nothing boots anew unnoticed. It does without
        # XSAVE: in the lab, KVM without nested paging on an emulated processor, its signal handlers do not return.
        cmdline=" ".join(["console=ttyS0", "quiet", "panic=0", "noxsave", *words, *kernel_options.split()]),
        nics=(*nics, management),
        cpus=cpus,
        memory_mib=memory_mib,
    )
