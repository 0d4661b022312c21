"""Snapshots that no VMM wrote: files missing, cut short or altered, and surroundings that do not fit any more.

Each alters a saved VM's files, its configuration, or what its NIC is plugged into, and gives the snapshot to restore.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.host.tap import Tap, VmmTap
from harness.lifecycle.saving import Snapshot
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import Testbed
from harness.vmm.abilities import Need, OfKind
from harness.vmm.base import NicConfig
from harness.vmm.find import KINDS
from harness.vmm.state_damage import Spoil

Apply = Callable[[Testbed, ProbeNic[Tap], Snapshot], Snapshot]


@dataclass(frozen=True)
class Damage:
    """A way to spoil a snapshot. `needs`: what it needs of the VMM that wrote it, if anything."""

    name: str
    apply: Apply
    needs: tuple[Need, ...] = ()


def _to_files(spoil: Spoil) -> Apply:
    def apply(bed: Testbed, nic: ProbeNic[Tap], snapshot: Snapshot) -> Snapshot:
        spoil(snapshot.folder)
        return snapshot

    return apply


def _configured_pairs(pairs: int) -> Apply:
    """The configuration names another number of pairs than the saved device has."""

    def apply(bed: Testbed, nic: ProbeNic[Tap], snapshot: Snapshot) -> Snapshot:
        changed = replace(nic.config, pairs=pairs)
        nic.vm.vmm.reconfigure(snapshot.folder, changed)
        return _with_nic(snapshot, changed)

    return apply


def _with_nic(snapshot: Snapshot, nic: NicConfig) -> Snapshot:
    nics = tuple(nic if each.id == nic.id else each for each in snapshot.config.nics)
    return replace(snapshot, config=replace(snapshot.config, nics=nics))


def _single_queue_tap(bed: Testbed, nic: ProbeNic[Tap], snapshot: Snapshot) -> Snapshot:
    """The tap is another one of the same name that was made for one queue."""
    nic.backend = _replaced(bed, nic, Tap, 1)
    return snapshot


def _tap_gone(bed: Testbed, nic: ProbeNic[Tap], snapshot: Snapshot) -> Snapshot:
    """There is no tap of that name any more: a VMM makes it, as it does for a VM that it boots."""
    nic.backend = _replaced(bed, nic, VmmTap, nic.config.pairs)
    return snapshot


def _replaced(bed: Testbed, nic: ProbeNic[Tap], kind: type[Tap], pairs: int) -> Tap:
    old = nic.backend
    nic.vm.stop()
    old.remove()  # now: its name is needed at once
    old.close()
    new = kind(old.name, pairs)
    bed.on_close(new.close)
    return new


DAMAGES = (
    *(
        Damage(name, _to_files(spoil), (OfKind(kind.kind, "this is damage to files"),))
        for kind in KINDS
        for name, spoil in kind.state_damages.items()
    ),
    Damage("fewer-pairs-configured", _configured_pairs(2)),
    Damage("more-pairs-configured", _configured_pairs(8)),
    Damage("tap-single-queue", _single_queue_tap),
    Damage("tap-gone", _tap_gone),
)
"""Every damage but those of the count itself."""

NUMBERS: Mapping[str, Any] = {"zero": 0, "above-the-maximum": 5, "largest-number": 65535}
"""Values in place of the recorded count, on a NIC of four pairs, that fit into 16 bits."""
OTHERS: Mapping[str, Any] = {
    "above-16-bits": 70000,
    "negative": -1,
    "fraction": 1.5,
    "text": "2",
    "word": "all",
    "list": [2],
    "true": True,
}
"""Values that only a state in JSON can hold."""
