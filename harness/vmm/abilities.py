"""What a VMM may be able to do or not: a test that needs what its VMM cannot do is skipped, and says so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Able(Protocol):
    """As much of a build as what it can do is about: see harness.vmm.base.Vmm."""

    @property
    def name(self) -> str:
        """In the matrix."""

    @property
    def kind(self) -> str:
        """The program."""

    @property
    def abilities(self) -> frozenset[Ability]:
        """What it can do."""


class Need(Protocol):
    """Something that a test needs of a VMM."""

    def lacking(self, vmm: Able) -> str | None:
        """Why the VMM does not have it, as a sentence; None if it has."""


class Ability(Enum):
    """Something that not every VMM can do. The value completes the sentence "NAME has no ..."."""

    PAUSE = "pause"
    REBOOT = "reboot"
    """The VMM can reset the machine, and the guest starts anew."""
    KEYBOARD_RESET = "keyboard controller by which a guest resets the machine"
    BOOT_AGAIN = "second boot of a VM that was shut down"
    SNAPSHOT = "snapshots"
    OPEN_STATE = "saved state in which a field can be missing or hold anything"
    MIGRATION = "live migration"
    LOCAL_MIGRATION = "migration that hands memory over as a descriptor"
    HOT_PLUG = "hot plug"
    MEMORY_HOT_PLUG = "hot plug of memory"
    SEVERAL_NICS = "second NIC"
    IOMMU = "virtual IOMMU"
    PACKED_RINGS = "packed virtqueues"
    DESCRIPTORS = "taps that are handed over as descriptors"
    VHOST_NET = "vhost-net"
    MAKES_TAPS = "taps that it makes itself"
    VHOST_USER = "vhost-user"
    VHOST_USER_SERVER = "vhost-user with the VMM as the server"
    JUDGES_BACK_ENDS = "refusal of a back end that does not suit it"
    ENABLES_AFTER_KICKS = "order of messages that vhost_user_net survives"
    FIRMWARE = "firmware"
    DEVICE_THREADS = "threads that it starts with a device"
    THREAD_FILTERS = "system call filter for each thread"
    NAMES_TAP_QUEUES = "word on the queues of a tap that it refuses"

    def lacking(self, vmm: Able) -> str | None:
        """The sentence, unless the VMM has the ability."""
        return None if self in vmm.abilities else f"{vmm.name} has no {self.value}"


SAVING = frozenset({Ability.SNAPSHOT, Ability.MIGRATION})
"""Abilities that ask something of the host's KVM as well: that a vCPU's whole state can be read."""


@dataclass(frozen=True)
class OfKind:
    """One program, whatever its build: for tests that are made of its own options, files or requests."""

    kind: str
    what: str

    def lacking(self, vmm: Able) -> str | None:
        """The sentence, unless the VMM is a build of that program."""
        return None if vmm.kind == self.kind else f"{self.what} of {self.kind}, and {vmm.name} is none"
