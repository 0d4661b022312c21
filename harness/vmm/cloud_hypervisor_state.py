"""The state that cloud-hypervisor saves: a tree of components in state.json, each with its state as JSON in a string.

Nothing here knows what a component's fields mean: that differs between builds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.bounded import MIB, Unreadable, parse_json, read_file
from harness.errors import VmmError
from harness.vmm.state_damage import cut, missing, overwritten

STATE, CONFIG, MEMORY = "state.json", "config.json", "memory-ranges"
"""The files of a snapshot."""

STATE_DAMAGES = {
    **{
        f"{file}-{name}": spoil
        for file in (CONFIG, STATE, MEMORY)
        for name, spoil in (("missing", missing(file)), ("empty", cut(file)), ("truncated", cut(file, 0.5)))
    },
    "config-overwritten": overwritten(CONFIG),
    "state-overwritten": overwritten(STATE),
}
"""Ways to spoil them, by name."""


LIMIT = 64 * MIB
"""Of a state or a configuration: they have some kilobytes."""


def _read(path: Path) -> Any:
    try:
        return parse_json(read_file(path, LIMIT))
    except Unreadable as error:
        raise VmmError(f"{path.name}, which the VMM saved, {error}") from None


def edit_json(path: Path, edit: Callable[[Any], None]) -> None:
    """Change a JSON file in place. Raises VmmError for one that has not the form that `edit` takes."""
    plain = _read(path)
    try:
        edit(plain)
    except MISFITS as error:
        raise VmmError(f"{path.name}, which the VMM saved, has another form: {error!r:.200}") from None
    path.write_text(json.dumps(plain))


MISFITS = (KeyError, TypeError, AttributeError, IndexError)
"""What Python says of a value that is of another kind than was expected."""


def set_virtqueues(snapshot: Path, nic_id: str, virtqueues: int) -> None:
    """Let the configuration that is saved beside the state name another number for a NIC."""

    def edit(config: Any) -> None:
        for net in config["net"]:
            if net["id"] == nic_id:
                net["num_queues"] = virtqueues

    edit_json(snapshot / CONFIG, edit)


def components(snapshot: Path) -> dict[str, Any]:
    """The state of every component of the device manager and below, decoded, by its path of ids. Raises VmmError."""
    tree = _read(snapshot / STATE)
    try:
        return dict(_walk(tree["snapshots"]["device-manager"], ""))
    except (*MISFITS, Unreadable) as error:
        raise VmmError(f"{STATE}, which the VMM saved, has another form: {error!r:.200}") from None


def _walk(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    data = node.get("snapshot_data")
    if data is not None and "state" in data:
        yield path, parse_json(data["state"])
    for name, child in node.get("snapshots", {}).items():
        yield from _walk(child, f"{path}/{name}")


class ComponentState:
    """The state of one device in a snapshot folder. Raises VmmError where it is not found as described above."""

    def __init__(self, snapshot: Path, device: str) -> None:
        self._path = snapshot / STATE
        self._device = device

    def read(self) -> dict[str, Any]:
        """Its fields."""
        return self._fields(_read(self._path))[1]

    def change(self, changes: Mapping[str, Any]) -> None:
        """Set fields; None removes one."""

        def edit(tree: Any) -> None:
            data, fields = self._fields(tree)
            fields |= changes
            removed = [name for name, value in changes.items() if value is None]
            data["state"] = json.dumps({name: fields[name] for name in fields if name not in removed})

        edit_json(self._path, edit)

    def _fields(self, tree: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Where the device's state is, and the state itself."""
        try:
            data = tree["snapshots"]["device-manager"]["snapshots"][self._device]["snapshot_data"]
            return data, dict(parse_json(data["state"]))
        except (*MISFITS, ValueError, Unreadable) as error:
            raise VmmError(
                f"{self._path} has no state of a device {self._device!r}: {error!r:.200}"
            ) from None
