"""The monitor and guest memory over the serial line alone, against a probe guest played by a thread."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from harness.deadline import PACE
from harness.guest.probe import monitor as monitor_module
from harness.guest.probe.bus import read, write
from harness.guest.probe.monitor import LINE_CHUNK, LineMemory, Monitor
from harness.vmm.serial import SerialPort
from tests.probe.serial_peer import MEMORY, PlayedProbe


@pytest.fixture
def line() -> Iterator[tuple[SerialPort, socket.socket]]:
    near, far = socket.socketpair()
    port = SerialPort(near, lambda _: None)
    yield port, far
    port.close()
    far.shutdown(socket.SHUT_RDWR)
    far.close()


@pytest.fixture
def peer(line: tuple[SerialPort, socket.socket]) -> Iterator[PlayedProbe]:
    peer = PlayedProbe(line[1])
    yield peer
    line[0].close()
    peer.join(5 * PACE)
    assert not peer.is_alive()


@pytest.fixture
def monitor(line: tuple[SerialPort, socket.socket], peer: PlayedProbe) -> Monitor:
    return Monitor(line[0], None, MEMORY)


def test_memory_goes_over_the_line_where_none_is_mapped(monitor: Monitor) -> None:
    assert isinstance(monitor.memory, LineMemory)
    assert monitor.memory.size == MEMORY


@pytest.mark.parametrize("length", [0, 1, LINE_CHUNK, LINE_CHUNK + 1, 3 * LINE_CHUNK])
def test_bytes_go_there_and_back_in_pieces(monitor: Monitor, peer: PlayedProbe, length: int) -> None:
    data = bytes(i % 251 for i in range(length))
    monitor.memory.write(0x100, data)
    assert peer.memory[0x100 : 0x100 + length] == data
    assert peer.memory[0x100 + length] == 0
    assert monitor.memory.read(0x100, length) == data
    pieces = -(-length // LINE_CHUNK)
    assert (peer.commands.count("W"), peer.commands.count("R")) == (pieces, pieces)


def test_filling_is_one_command(monitor: Monitor, peer: PlayedProbe) -> None:
    monitor.memory.fill(0x20, 0x3000, 0xEE)
    assert peer.memory[0x1F:0x3021] == b"\0" + b"\xee" * 0x3000 + b"\0"
    assert peer.commands == "?F"


def test_halfwords_are_single_accesses(monitor: Monitor, peer: PlayedProbe) -> None:
    monitor.memory.set16(0x80, 0x1234)
    assert monitor.memory.get16(0x80) == 0x1234
    assert peer.registers == {0x80: 0x1234}


def test_long_batches_are_split_and_keep_their_order(
    monitor: Monitor, peer: PlayedProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "BATCH_LIMIT", 10)
    asked = [o for n in range(13) for o in (write(4, n, 1000 + n), read(4, n), read(4, 500 + n))]
    assert monitor.run(asked) == [value for n in range(13) for value in (1000 + n, 500 + n)]
    assert peer.commands.count("x") == 4


def test_empty_batch_answers_nothing(monitor: Monitor) -> None:
    assert monitor.run([]) == []


def test_largest_batch_ends_below_the_drivers_memory(monitor: Monitor) -> None:
    batch = 8 + 24 * monitor_module.BATCH_LIMIT
    assert batch <= monitor_module._AFTER_BATCH
