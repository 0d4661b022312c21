"""The host's KVM: its device, and how virtual machines are asked for without a VMM (linux/kvm.h)."""

from __future__ import annotations

import errno
import fcntl
import os

KVM = "/dev/kvm"

# All three are _IO(0xAE, ...).
KVM_CREATE_VM = 0xAE01
KVM_CREATE_VCPU = 0xAE41
KVM_CREATE_IRQCHIP = 0xAE60


def lacking() -> str | None:
    """What keeps any VMM from using KVM here and now, with the way out; None if nothing does."""
    try:
        kvm = os.open(KVM, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            return f"no permission for {KVM}: join the group kvm, or run again with sudo"
        if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
            return f"{KVM} is missing: load the module kvm_intel or kvm_amd, or run on bare metal"
        return f"{KVM} cannot be opened ({error.strerror})"
    try:
        os.close(fcntl.ioctl(kvm, KVM_CREATE_VM, 0))
    except OSError as error:
        return f"{KVM} makes no VM ({error.strerror})"
    finally:
        os.close(kvm)
    return None
