"""What a firmware guest is made of: the VMM's UEFI firmware, iPXE, and the server that it boots from."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BadInput, Unavailable
from harness.vmm.base import Vmm

IPXE = Path("/usr/lib/ipxe/snponly.efi")
"""iPXE on top of the firmware's own NIC driver (its Simple Network Protocol)."""


@dataclass(frozen=True)
class FirmwareFiles:
    """Files on this host."""

    firmware: Path
    ipxe: Path
    dnsmasq: Path


def firmware_files(vmm: Vmm, own: Path | None) -> FirmwareFiles:
    """The files for a VMM; `own` is the user's firmware, for a VMM for which no package has one.

    Raises Unavailable where something is missing, with the line that installs it, BadInput for a file of the
    user's that cannot be read.
    """
    if vmm.packaged_firmware is not None:
        firmware = vmm.packaged_firmware
    elif own is None:
        raise Unavailable(
            f"{vmm.name} needs a UEFI firmware built for it, which Debian does not have: --firmware PATH"
        )
    elif not own.is_file():
        raise BadInput(f"there is no firmware {own}")
    else:
        firmware = own
    dnsmasq = shutil.which("dnsmasq", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    packages = {"ovmf": firmware.exists(), "ipxe": IPXE.exists(), "dnsmasq-base": dnsmasq is not None}
    if missing := [name for name, there in packages.items() if not there]:
        raise Unavailable(
            f"missing for the firmware guest: apt-get install --no-install-recommends {' '.join(missing)}"
        )
    assert dnsmasq is not None
    return FirmwareFiles(firmware, IPXE, Path(dnsmasq))
