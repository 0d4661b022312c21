"""Reading and altering what VMMs save, without any VMM."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from harness.errors import VmmError
from harness.vmm.cloud_hypervisor_state import STATE, ComponentState, components
from harness.vmm.qemu_state import STATE_FILE, NicState, sections


def _node(state: Any = None, **children: Any) -> dict[str, Any]:
    data = {} if state is None else {"snapshot_data": {"state": json.dumps(state)}}
    return {"snapshots": children, **data}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A snapshot in the form of cloud-hypervisor's, with one NIC."""
    manager = _node({"slots": 1}, net0=_node({"count": 2, "other": 1}), pci=_node(None, msix=_node([0])))
    (tmp_path / STATE).write_text(json.dumps({"snapshots": {"device-manager": manager}}))
    return tmp_path


def test_components_are_found_at_every_depth(tree: Path) -> None:
    assert components(tree) == {"": {"slots": 1}, "/net0": {"count": 2, "other": 1}, "/pci/msix": [0]}


@pytest.mark.parametrize(("value", "left"), [(None, {"other": 1}), ("2", {"count": "2", "other": 1})])
def test_a_field_is_removed_or_replaced(tree: Path, value: Any, left: dict[str, Any]) -> None:
    ComponentState(tree, "net0").change({"count": value})
    assert ComponentState(tree, "net0").read() == left


def test_a_device_that_is_not_there_is_named(tree: Path) -> None:
    with pytest.raises(VmmError, match="no state of a device 'net1'"):
        ComponentState(tree, "net1").read()


MAC = bytes.fromhex("020000000100")


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    """A migration stream with memory, a timer, and a NIC at two pairs."""
    described = {"devices": [{"name": name, "instance_id": 0} for name in ("ram", "timer", "a/virtio-net")]}
    body = b"QEVM" + bytes(4096)
    for number, (name, data) in enumerate([(b"timer", b"tick"), (b"a/virtio-net", MAC + b"\x00\x02")]):
        index = struct.pack(">I", number)
        body += b"\x04" + index + bytes([len(name)]) + name + bytes(8) + data + b"\x7e" + index
    text = json.dumps(described).encode()
    (tmp_path / STATE_FILE).write_bytes(body + b"\x00\x06" + struct.pack(">I", len(text)) + text)
    return tmp_path


def test_sections_of_a_stream(stream: Path) -> None:
    found = {each.device: each.data for each in sections((stream / STATE_FILE).read_bytes())}
    assert found == {"timer": b"tick", "a/virtio-net": MAC + b"\x00\x02"}


def test_a_number_of_a_stream_is_overwritten(stream: Path) -> None:
    nic = NicState(stream, MAC.hex(":"))
    assert nic.read()["6"] == 2
    nic.change({"6": 5})
    assert nic.read()["6"] == 5
    with pytest.raises(VmmError, match="cannot hold 'all'"):
        nic.change({"6": "all"})


def test_a_stream_cut_short_is_told(stream: Path) -> None:
    path = stream / STATE_FILE
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(VmmError, match="no description"):
        NicState(stream, MAC.hex(":")).read()
