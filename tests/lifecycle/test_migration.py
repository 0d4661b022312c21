"""Where a VM migrates to, and a line between two ends that breaks."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.deadline import PACE
from harness.lifecycle import CutLine, destination, migrate
from harness.lifecycle import migration as migration_module
from harness.lifecycle.migration import migration_hindrance
from tests.lifecycle.simulated import PAIRS, Build, a_testbed


@pytest.mark.usefixtures("simulated_guests")
@pytest.mark.parametrize("local", [False, True])
def test_destination_is_told_of_fresh_taps(tmp_path: Path, local: bool) -> None:
    bed, nic, other = a_testbed(tmp_path)
    old, before = nic.vm, [each.backend for each in (nic, other)]
    older: Any = Build(tmp_path / "older", bed.vmm.machines)
    migrate(bed, nic, vmm=older, local=local)
    assert (old.status, nic.vm.status, nic.vm.vmm) == ("ended", "running", older)
    assert nic.vm.told == [f"migrated to migration, local: {local}"]
    now = [each.backend for each in (nic, other)]
    assert not {*map(id, before)} & {*map(id, now)}
    assert [each.heirs for each in before] == [[], []]
    assert [each.attachment for each in nic.vm.config.nics] == [each.attachment for each in now]
    assert [each.config for each in (nic, other)] == [*nic.vm.config.nics]
    assert [(each.nic, each.pairs, each.heirs) for each in now] == [("net0", PAIRS, []), ("net1", PAIRS, [])]
    assert nic.vm in bed.vms
    assert (len(nic.host().pairs), len(nic.driver.believed_pairs)) == (3, 3)


@pytest.mark.usefixtures("simulated_guests")
def test_vm_that_takes_its_taps_along_inherits_them(tmp_path: Path) -> None:
    bed, nic, other = a_testbed(tmp_path, along=True)
    before, config = [each.backend for each in (nic, other)], nic.vm.config
    migrate(bed, nic)
    assert [each.backend for each in (nic, other)] == before
    assert [each.heirs for each in before] == [[nic.vm.pid]] * 2
    assert nic.vm.config == config
    assert nic.vm.told == ["migrated to migration, local: False"], "memory is copied unless it is asked for"


def test_destination_that_nobody_comes_to_is_ended(tmp_path: Path) -> None:
    bed, nic, _ = a_testbed(tmp_path)
    there = destination(bed, nic)
    awaited = bed.vmm.machines[-1]
    assert (there.place.name, awaited.status) == ("migration", "awaited")
    bed.close()
    assert awaited.status == "ended"


@pytest.mark.parametrize(
    ("along", "kind", "hindered"),
    [(True, "vhost-user", True), (True, "tap", False), (False, "vhost-user", False), (False, "tap", False)],
)
def test_back_end_of_one_vmm_cannot_be_taken_along(
    tmp_path: Path, along: bool, kind: str, hindered: bool
) -> None:
    _, nic, _ = a_testbed(tmp_path, along=along)
    nic.backend.kind = kind
    why = migration_hindrance(nic)
    assert (why is not None) == hindered
    assert why is None or why.endswith("the suite's own serves one VMM at a time")


# The line


@pytest.fixture
def far(tmp_path: Path) -> Iterator[socket.socket]:
    """The far end listens."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "far"))
        listener.listen()
        listener.settimeout(10 * PACE)
        yield listener


def source(place: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX)
    end.settimeout(10 * PACE)
    end.connect(str(place))
    return end


def everything(end: socket.socket) -> bytes:
    """What comes until the line breaks."""
    taken = bytearray()
    while data := end.recv(65536):
        taken += data
    return bytes(taken)


def send(end: socket.socket, data: bytes) -> None:
    try:
        end.sendall(data)
    except OSError:  # it was cut in the middle
        assert data


DATA = bytes(range(256)) * 1000
"""More than one read takes."""


@pytest.mark.parametrize("limit", [0, 1, 100_000, len(DATA)])
def test_line_breaks_at_the_very_byte(tmp_path: Path, far: socket.socket, limit: int) -> None:
    with CutLine(tmp_path / "near", tmp_path / "far", limit) as line, source(line.place) as near:
        end, _ = far.accept()
        with end:
            end.settimeout(10 * PACE)
            sender = threading.Thread(target=send, args=(near, DATA))
            sender.start()
            assert everything(end) == DATA[:limit]
            sender.join()
        assert line.passed == limit


def test_answers_pass_and_are_not_counted(tmp_path: Path, far: socket.socket) -> None:
    with CutLine(tmp_path / "near", tmp_path / "far", 10) as line, source(line.place) as near:
        end, _ = far.accept()
        with end:
            end.settimeout(10 * PACE)
            for number in range(5):
                near.sendall(b"?")
                assert end.recv(10) == b"?"
                end.sendall(b"an answer of many bytes")
                assert near.recv(100) == b"an answer of many bytes"
                assert line.passed == number + 1
            near.close()
            assert everything(end) == b"", "whoever hangs up is not held"


def test_line_serves_the_next_and_ends_in_the_middle(
    tmp_path: Path, far: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_module, "PATIENCE", 5 * PACE)
    line, waits, wait = CutLine(tmp_path / "near", tmp_path / "far", 100), threading.Event(), select.select

    def watched(*words: Any) -> Any:
        if line.passed == 5:
            waits.set()
        return wait(*words)

    monkeypatch.setattr(select, "select", watched)
    with line:
        for part in (b"ab", b"cd"):
            with source(line.place) as near:
                end, _ = far.accept()
                near.sendall(part)
                with end:
                    end.settimeout(10 * PACE)
                    assert end.recv(10) == part
        near = source(line.place)
        end, _ = far.accept()
        near.sendall(b"e")
        assert end.recv(10) == b"e"
        assert waits.wait(5 * PACE), "it is to end although nothing comes"
    with near, end:
        assert everything(near) == b""
    assert line.passed == 5
    assert not line._thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        source(line.place)


def test_line_waits_for_a_source_that_comes_late(tmp_path: Path, far: socket.socket) -> None:
    line = CutLine(tmp_path / "near", tmp_path / "far", 1)
    listener, accept, looked = line._listener, line._listener.accept, threading.Event()

    def late() -> Any:
        if not looked.is_set():
            looked.set()
            raise TimeoutError
        return accept()

    line._listener = SimpleNamespace(accept=late, close=listener.close)  # type: ignore[assignment]
    with line, source(line.place) as near:
        assert looked.wait(5 * PACE)
        end, _ = far.accept()
        near.sendall(b"x")
        with end:
            assert everything(end) == b"x"
