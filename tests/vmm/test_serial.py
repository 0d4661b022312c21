"""The host's end of a serial port: lines, silence, and lines that break off."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from harness.deadline import PACE, Deadline, wait_until
from harness.errors import DeadlineExceeded, GuestError, Owner, VmmDied
from harness.vmm import serial as serial_module
from harness.vmm.serial import SerialPort


@pytest.fixture
def ends() -> Iterator[tuple[SerialPort, socket.socket]]:
    near, far = socket.socketpair()
    port = SerialPort(near, lambda _: None)
    yield port, far
    port.close()
    far.close()


@pytest.fixture
def port(ends: tuple[SerialPort, socket.socket]) -> SerialPort:
    return ends[0]


@pytest.fixture
def far(ends: tuple[SerialPort, socket.socket]) -> socket.socket:
    return ends[1]


@pytest.fixture(autouse=True)
def _settle_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_module, "SETTLE", 0.05)


def read(port: SerialPort, within: float = 5) -> bytes:
    return port.read_line(within=within, awaiting="a line")


def test_lines_come_whole_and_without_their_ends(port: SerialPort, far: socket.socket) -> None:
    far.sendall(b"one\r\ntwo\n\nthr")
    assert [read(port), read(port), read(port)] == [b"one", b"two", b""]
    far.sendall(b"ee\n")
    assert read(port) == b"three"


def test_silence_is_reported_with_the_last_words(port: SerialPort, far: socket.socket) -> None:
    far.sendall(b"panic: told to\nhalf a li")
    assert read(port) == b"panic: told to"
    with pytest.raises(
        DeadlineExceeded, match=rf"waited {0.02 * PACE:.1f} s for a line; .*'panic: told to\\nhalf a li'"
    ):
        read(port, 0.02)


def test_deadline_is_shared_by_several_reads(port: SerialPort, far: socket.socket) -> None:
    deadline = Deadline(0.05)
    far.sendall(b"a\n")
    port.read_line(within=deadline, awaiting="a line")
    with pytest.raises(DeadlineExceeded):
        port.read_line(within=deadline, awaiting="another")
    assert deadline.expired()


def test_closed_line_is_an_error_with_the_last_words(port: SerialPort, far: socket.socket) -> None:
    far.sendall(b"bye\nhalf")
    far.close()
    assert read(port) == b"bye"
    with pytest.raises(
        GuestError,
        match=r"closed the serial port while .* a line \(did the guest reset\?\); it had said: 'bye\\nhalf'",
    ):
        read(port)


def test_vmm_that_lives_tells_why_it_closed_the_line() -> None:
    near, far = socket.socketpair()
    far.close()
    with pytest.raises(GuestError, match=r"awaited a line \(the guest was reset\); it had said"):
        read(SerialPort(near, lambda _: None, lambda: "the guest was reset"))
    near.close()


def test_vmm_whose_end_shows_a_moment_after_its_socket_closed_has_died() -> None:
    looks = iter(range(5))

    def alive(doing: str) -> None:
        if next(looks, None) is None:
            raise VmmDied(f"died while {doing}")

    near, far = socket.socketpair()
    far.close()
    with pytest.raises(VmmDied, match="died while the suite awaited a line"):
        read(SerialPort(near, alive))
    near.close()


def test_writing_to_a_closed_line_is_an_error(port: SerialPort, far: socket.socket) -> None:
    far.close()
    with pytest.raises(GuestError, match=r"the serial port is closed \(Broken pipe\)"):
        port.send(b"x")


def test_guest_that_takes_nothing_is_reported(port: SerialPort) -> None:
    with pytest.raises(DeadlineExceeded, match=r"for the guest to take \d+ more bytes on its serial port"):
        port.send(bytes(10 << 20), within=0.05)


def test_drain_takes_all_and_waits_for_nothing(port: SerialPort, far: socket.socket) -> None:
    assert port.drain() == b""
    far.sendall(b"no end of line")
    assert wait_until("what was sent", port.drain, owed_by=Owner.HOST, within=5) == b"no end of line"
    assert port.drain() == b""


def test_transcript_keeps_the_newest(
    port: SerialPort, far: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_module, "TRANSCRIPT_LIMIT", 10)
    far.sendall(b"0123456789abcdef\n")
    assert read(port) == b"0123456789abcdef"
    assert bytes(port.transcript) == b"789abcdef\n"


def test_tail_survives_any_bytes(port: SerialPort, far: socket.socket) -> None:
    far.sendall(b"\xff\xfe\n" + b"x\n" * 30)
    for _ in range(31):
        read(port)
    assert port.tail(2) == "x\nx"
    assert "\ufffd" in port.tail(31)


def flood(far: socket.socket, piece: bytes) -> threading.Thread:
    """Send without end, until the other side hangs up."""

    def send() -> None:
        with suppress(OSError):
            while True:
                far.sendall(piece)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def read_on(port: SerialPort, deadline: Deadline) -> None:
    while True:
        port.read_line(within=deadline, awaiting="a line")


def test_line_without_end_is_told(port: SerialPort, far: socket.socket) -> None:
    thread = flood(far, b"x" * 65536)
    with pytest.raises(GuestError, match=r"a line of more than 256 KiB came while the suite awaited a line"):
        read(port, 60)
    port.close()
    thread.join()


def test_lines_without_end_keep_no_deadline_alive(port: SerialPort, far: socket.socket) -> None:
    thread = flood(far, b"nothing of interest\n" * 1000)
    deadline = Deadline(0.2)
    with pytest.raises(DeadlineExceeded, match=r"waited \d\.\d s for a line"):
        read_on(port, deadline)
    with pytest.raises(DeadlineExceeded, match="the end"):
        port.await_close(within=0.2, awaiting="the end")
    assert len(port.drain()) < 4 << 20
    assert len(port.transcript) <= 1 << 20
    port.close()
    thread.join()
