"""The host's KVM: its device, and how virtual machines are asked for without a VMM (linux/kvm.h)."""

from __future__ import annotations

KVM = "/dev/kvm"

# All three are _IO(0xAE, ...).
KVM_CREATE_VM = 0xAE01
KVM_CREATE_VCPU = 0xAE41
KVM_CREATE_IRQCHIP = 0xAE60
