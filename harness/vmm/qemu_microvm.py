"""QEMU's microvm machine: the reference for devices on MMIO, of which it has nothing but these."""

from __future__ import annotations

from typing import Any

from harness.vmm.abilities import Ability
from harness.vmm.base import NicConfig
from harness.vmm.qemu import Qemu

FIRST_SLOT, SLOT_BYTES, SLOTS = 0xFEB00000, 0x200, 24
"""VIRTIO_MMIO_BASE, the distance of two transports, and how many there are with ACPI (include/hw/i386/microvm.h)."""


class QemuMicrovm(Qemu):
    """The same program with another machine: `--vmm qemu-microvm:PATH` asks for it."""

    kind = "qemu-microvm"
    named_by_kind = True
    machine = "microvm,memory-backend=ram"
    bus_words = ("-global", "virtio-mmio.force-legacy=false")
    abilities = Qemu.abilities - {
        Ability.KEYBOARD_RESET,
        Ability.HOT_PLUG,  # there is no bus to plug into
        Ability.MEMORY_HOT_PLUG,
        Ability.IOMMU,  # which is a device on PCI
        Ability.FIRMWARE,  # it starts a kernel, and boots nothing from a network
    }
    mmio_slots = range(FIRST_SLOT, FIRST_SLOT + SLOTS * SLOT_BYTES, SLOT_BYTES)

    def withholds_vectors(self, nic: NicConfig) -> str:
        return ""

    def device_options(self, nic: NicConfig) -> dict[str, Any]:
        of_pci = ("vectors", "disable-legacy", "romfile")
        options = {name: value for name, value in super().device_options(nic).items() if name not in of_pci}
        return {**options, "driver": "virtio-net-device"}
