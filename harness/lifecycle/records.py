"""Where a build keeps the count in what it saves: found by saving, never known beforehand.

A NIC's own state is saved at two, three and again two pairs, in one VM's life. The fields that are the same at two
and differ at three follow the count. If some of them hold the very number, these are taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.lifecycle.saving import Snapshot, save
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import Testbed

_known: dict[Path, tuple[str, ...]] = {}
"""By build: its format does not change within a run."""


def count_fields(bed: Testbed, nic: ProbeNic) -> tuple[str, ...]:
    """The names of the fields that follow the count; none, if the NIC's build records no count.

    The NIC is at two pairs afterwards if the build was not known yet, and runs on.
    """
    build = nic.vm.vmm.path
    if build not in _known:
        first, other, again = (_recorded_at(bed, nic, pairs) for pairs in (2, 3, 2))
        _known[build] = following(first, other, again)
    return _known[build]


def _recorded_at(bed: Testbed, nic: ProbeNic, pairs: int) -> Mapping[str, Any]:
    assert nic.set_pairs(pairs)
    snapshot = save(bed, nic)
    fields = nic.vm.vmm.recorded(snapshot.folder, nic.config)
    snapshot.discard()
    nic.vm.resume()
    return fields


def following(
    at_two: Mapping[str, Any], at_three: Mapping[str, Any], again: Mapping[str, Any]
) -> tuple[str, ...]:
    """The fields that follow the count, from what was recorded at two, three and two pairs."""
    names = dict.fromkeys([*at_two, *at_three])
    differ = [
        name
        for name in names
        if at_two.get(name) == again.get(name) and at_two.get(name) != at_three.get(name)
    ]
    exact = [name for name in differ if at_two.get(name) == 2 and at_three.get(name) == 3]
    return tuple(exact or differ)


def rewrite_count(snapshot: Snapshot, nic: ProbeNic, fields: tuple[str, ...], value: Any) -> None:
    """Put another value in place of the count that the NIC's build recorded; None removes it."""
    nic.vm.vmm.rerecord(snapshot.folder, nic.config, dict.fromkeys(fields, value))
