"""What a run is about, found out once in the main process and handed to every xdist worker."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from harness.errors import BadInput, DeadlineExceeded, HarnessError, Unavailable, unforeseen
from harness.guest.linux.image import LinuxImage, linux_image
from harness.host import tun
from harness.host.trouble import few_files
from harness.run.capability import Capabilities, capabilities
from harness.scratch import Scratch
from harness.vmm.base import Vmm
from harness.vmm.find import find_vmms

DRIVER_NEEDS = {"probe": "probe_guest", "linux": "linux_guest", "firmware": "linux_guest"}
"""What a host must be able to run for each driver: firmware asks as much of a KVM as Linux does."""


@dataclass(frozen=True)
class Session:
    """The builds under test, what each can do on this host, the seed, and where evidence goes."""

    vmms: tuple[Vmm, ...]
    capabilities: dict[str, Capabilities]
    seed: int
    evidence: Path | None = None
    """The run's own folder; None if nothing is to be kept."""
    linux: LinuxImage | None = None
    no_linux: str = ""
    """Why there is no Linux image, where a build could boot it."""
    times: Mapping[str, float] | None = None
    """Seconds by test, for an order in which the longest come first; None for the order in which they stand."""
    legacy: tuple[Vmm, ...] = ()
    """Older builds, which only write snapshots."""

    def vmm(self, name: str) -> Vmm:
        """The build of that name."""
        found = {vmm.name: vmm for vmm in (*self.legacy, *self.vmms)}
        if name not in found:
            raise HarnessError(f"no build is called {name!r}: those of this run are {', '.join(found)}")
        return found[name]

    def needs_lab(self) -> bool:
        """Whether a build runs its Linux guests in the lab, if one is allowed."""
        return any(vmm.needs_kvm and not self.capabilities[vmm.name].linux_guest.works for vmm in self.vmms)

    def writers(self, *, legacy: bool) -> list[tuple[str, str | None]]:
        """Each build under test with each that writes snapshots for it, by name; None where there is none.

        Those are the builds under test themselves, or the older ones that were given.
        """
        crossed: list[tuple[str, str | None]] = []
        for vmm in self.vmms:
            others = [other for other in (self.legacy if legacy else self.vmms) if other.kind == vmm.kind]
            crossed += [(vmm.name, other.name) for other in others] or [(vmm.name, None)]
        return crossed

    def random(self, what: str) -> Random:
        """A source of random choices for one test, the same for the same seed on every worker and build."""
        return Random(f"{self.seed}/{what}")

    def facts(self) -> dict[str, Any]:
        """What the run's results say of it: its seed, and what each build can do here."""
        abilities = {name: ability.lines() for name, ability in self.capabilities.items()}
        return {"seed": self.seed, "abilities": abilities}

    def pack(self) -> bytes:
        """For a worker of this very version: it is its own other end."""
        return pickle.dumps(self)

    @staticmethod
    def unpack(packed: bytes) -> Session:
        """The other way round."""
        session: Session = pickle.loads(packed)
        return session


SESSION = pytest.StashKey[Session]()
"""Where pytest's configuration holds the session."""


def prepare(
    asked: Sequence[str],
    seed: int | None,
    scratch: Scratch,
    kernel: Path | None = None,
    initramfs: Path | None = None,
    legacy: Sequence[str] = (),
    *,
    lab: bool = False,
) -> Session:
    """Find the builds and try what they can do here. Raises BadInput or Unavailable, in one sentence.

    `kernel` and `initramfs` are the user's own for the Linux guest. Its image is made here, where the network is.
    `legacy` names older builds as `asked` names those under test. `lab`: what this host cannot run may run there.
    """
    _check_rights()
    vmms = tuple(find_vmms(asked))
    older = _older(legacy, vmms)
    able = {vmm.name: capabilities(vmm, scratch.folder) for vmm in vmms}
    chosen = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    session = Session(vmms, able, chosen, legacy=older)
    bootable = any(able[vmm.name].linux_guest.works or (lab and vmm.needs_kvm) for vmm in vmms)
    if not (bootable or kernel or initramfs):
        return replace(session, no_linux="none of the builds under test runs a Linux guest on this host")
    try:
        return replace(session, linux=linux_image(kernel, initramfs))
    except (Unavailable, DeadlineExceeded) as error:
        return replace(session, no_linux=str(error))
    except BadInput:
        raise
    except Exception as error:  # a distribution that packs its kernel in yet another way must not end the run
        return replace(session, no_linux=unforeseen("the Linux guest's image cannot be made", error))


def _older(asked: Sequence[str], beside: Sequence[Vmm]) -> tuple[Vmm, ...]:
    found = tuple(find_vmms(asked)) if asked else ()
    names = {vmm.name for vmm in beside}
    if twice := next((vmm.name for vmm in found if vmm.name in names), None):
        raise BadInput(f"--legacy-vmm {twice}: a build under test has this name: choose another, NAME=PATH")
    return found


def _check_rights() -> None:
    if (why := few_files()) is not None:
        raise Unavailable(why)
    try:
        os.close(os.open(tun.DEVICE, os.O_RDWR))
    except FileNotFoundError:
        raise Unavailable(f"{tun.DEVICE} is missing: {tun.HOW_TO_HAVE_IT}") from None
    except PermissionError:
        raise Unavailable(f"no permission for {tun.DEVICE}: run again with sudo") from None
