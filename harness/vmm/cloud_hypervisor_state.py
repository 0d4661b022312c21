"""The state that cloud-hypervisor saves: a tree of components in state.json, each with its state as JSON in a string.

Nothing here knows what a component's fields mean: that differs between builds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import VmmError

STATE, CONFIG, MEMORY = "state.json", "config.json", "memory-ranges"
"""The files of a snapshot."""


def edit_json(path: Path, edit: Callable[[Any], None]) -> None:
    """Change a JSON file in place."""
    plain = json.loads(path.read_text())
    edit(plain)
    path.write_text(json.dumps(plain))


def components(snapshot: Path) -> dict[str, Any]:
    """The state of every component of the device manager and below, decoded, by its path of ids."""
    tree = json.loads((snapshot / STATE).read_text())
    return dict(_walk(tree["snapshots"]["device-manager"], ""))


def _walk(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    data = node.get("snapshot_data")
    if data is not None and "state" in data:
        yield path, json.loads(data["state"])
    for name, child in node.get("snapshots", {}).items():
        yield from _walk(child, f"{path}/{name}")


class ComponentState:
    """The state of one device in a snapshot folder. Raises VmmError where it is not found as described above."""

    def __init__(self, snapshot: Path, device: str) -> None:
        self._path = snapshot / STATE
        self._device = device

    def read(self) -> dict[str, Any]:
        """Its fields."""
        fields: dict[str, Any] = json.loads(self._data(json.loads(self._path.read_text()))["state"])
        return fields

    def change(self, changes: Mapping[str, Any]) -> None:
        """Set fields; None removes one."""

        def edit(tree: Any) -> None:
            data = self._data(tree)
            fields = {**json.loads(data["state"]), **changes}
            removed = [name for name, value in changes.items() if value is None]
            data["state"] = json.dumps({name: fields[name] for name in fields if name not in removed})

        edit_json(self._path, edit)

    def _data(self, tree: Any) -> dict[str, Any]:
        try:
            node: dict[str, Any] = tree["snapshots"]["device-manager"]["snapshots"][self._device]
            found: dict[str, Any] = node["snapshot_data"]
            found["state"]
        except (KeyError, TypeError) as error:
            raise VmmError(f"{self._path} has no state of a device {self._device!r}: {error!r}") from error
        return found
