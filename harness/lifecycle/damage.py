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
from harness.vmm.base import NicConfig
from harness.vmm.cloud_hypervisor_state import CONFIG, MEMORY, STATE, edit_json
from harness.vmm.qemu_state import STATE_FILE

CLOUD_HYPERVISOR, QEMU = "cloud-hypervisor", "qemu"


@dataclass(frozen=True)
class Damage:
    """A way to spoil a snapshot. `only_on`: the one kind of VMM that it is about, if so."""

    name: str
    apply: Callable[[Testbed, ProbeNic[Tap], Snapshot], Snapshot]
    only_on: str | None = None


def _missing(file: str) -> Callable[[Testbed, ProbeNic[Tap], Snapshot], Snapshot]:
    def apply(bed: Testbed, nic: ProbeNic[Tap], snapshot: Snapshot) -> Snapshot:
        (snapshot.folder / file).unlink()
        return snapshot

    return apply


def _halved(file: str) -> Callable[[Testbed, ProbeNic[Tap], Snapshot], Snapshot]:
    return _truncated(file, 0.5)


def _truncated(file: str, share: float = 0.0) -> Callable[[Testbed, ProbeNic[Tap], Snapshot], Snapshot]:
    def apply(bed: Testbed, nic: ProbeNic[Tap], snapshot: Snapshot) -> Snapshot:
        path = snapshot.folder / file
        with path.open("r+b") as opened:
            opened.truncate(int(path.stat().st_size * share))
        return snapshot

    return apply


def _overwritten(file: str) -> Callable[[Testbed, ProbeNic[Tap], Snapshot], Snapshot]:
    def apply(bed: Testbed, nic: ProbeNic[Tap], snapshot: Snapshot) -> Snapshot:
        path = snapshot.folder / file
        middle = path.stat().st_size // 2
        with path.open("r+b") as opened:
            opened.seek(middle)
            opened.write(b"\xff" * 64)
        return snapshot

    return apply


def _configured_pairs(pairs: int) -> Callable[[Testbed, ProbeNic[Tap], Snapshot], Snapshot]:
    """The configuration names another number of pairs than the saved device has."""

    def apply(bed: Testbed, nic: ProbeNic[Tap], snapshot: Snapshot) -> Snapshot:
        config = snapshot.folder / CONFIG
        if config.exists():
            edit_json(config, lambda plain: _set_queues(plain, nic.config.id, 2 * pairs))
        return _with_nic(snapshot, replace(nic.config, pairs=pairs))

    return apply


def _set_queues(config: Any, nic_id: str, queues: int) -> None:
    for net in config["net"]:
        if net["id"] == nic_id:
            net["num_queues"] = queues


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
    old.close()
    new = kind(old.name, pairs)
    bed.on_close(new.close)
    return new


DAMAGES = (
    *(
        Damage(f"{file}-{name}", make(file), CLOUD_HYPERVISOR)
        for file in (CONFIG, STATE, MEMORY)
        for name, make in (("missing", _missing), ("empty", _truncated), ("truncated", _halved))
    ),
    Damage("config-overwritten", _overwritten(CONFIG), CLOUD_HYPERVISOR),
    Damage("state-overwritten", _overwritten(STATE), CLOUD_HYPERVISOR),
    Damage("stream-truncated", _halved(STATE_FILE), QEMU),
    Damage("stream-truncated-at-its-end", _truncated(STATE_FILE, 0.99), QEMU),
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
