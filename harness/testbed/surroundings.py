"""What surrounds the VMs and NICs of a testbed: who watches them, what they are plugged into, what they may grow to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

from harness.guest.probe.bus import Bus
from harness.guest.probe.device import VirtioDevice
from harness.guest.probe.transport import Transport
from harness.host.syscalls import FramesToo, Policy, Sightings, Supervisor, Trace
from harness.host.vhost_user.rules import Rules, unaltered
from harness.process.child import Spawn


@dataclass(frozen=True)
class Surroundings:
    """What a testbed is given at its construction, whole. A wrong VMM is made by other surroundings.

    `syscalls` judges the TUNSETQUEUE calls of its VMs, if anybody does. `rules` makes what alters the messages to its
    vhost-user back ends, for a NIC of so many pairs. `device` is what the probe guest's driver takes its device for.
    `sightings` takes down which system calls the VMMs' own filters forbid them, where that is asked.
    `programs` are those of real vhost-user back ends, by name. `memory_room_mib` is how much memory can be plugged
    into its VMs with the probe guest.
    """

    syscalls: Policy | None = None
    sightings: Sightings | None = None
    rules: Rules = unaltered
    device: Callable[[Bus, Transport], VirtioDevice] = VirtioDevice
    programs: Mapping[str, Path] = field(default_factory=dict)
    memory_room_mib: int = 0

    def spawn(self) -> Spawn | None:
        """What starts a VMM so that its calls are judged, or watched; None if nobody does."""
        judged = None if self.syscalls is None else partial(Supervisor, policy=self.syscalls)
        return judged if self.sightings is None else partial(self.sightings.spawn, inner=judged)

    @property
    def observed(self) -> bool:
        """Whether somebody stands between a VMM and the kernel."""
        return self.spawn() is not None

    def supervised(self, *, frames: bool = False) -> Self:
        """These surroundings with TUNSETQUEUE calls traced, for a test to alter them; a policy that is there stays.

        `frames`: what VMMs read from taps and write to them can be altered too.
        """
        policy = self.syscalls if self.syscalls is not None else Trace()
        return replace(self, syscalls=FramesToo(policy) if frames else policy)
