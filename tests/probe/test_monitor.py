"""The monitor's host side against a serial peer that says what a test has laid ready."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from harness.deadline import PACE
from harness.errors import DeadlineExceeded, GuestError, VmmDied
from harness.guest.probe import monitor as monitor_module
from harness.guest.probe.bus import port_in, read
from harness.guest.probe.monitor import Monitor
from harness.vmm import serial as serial_module
from harness.vmm.serial import SerialPort
from tests.probe.machine import Machine

HELLO = b"probe 1 01000000 "
MEMORY = 32 << 20


class Line:
    """Both ends of a serial port. `dead` makes the VMM appear dead to whoever waits."""

    def __init__(self) -> None:
        near, self.far = socket.socketpair()
        self.dead = False
        self.port = SerialPort(near, self._alive)

    def _alive(self, doing: str) -> None:
        if self.dead:
            raise VmmDied(f"died while {doing}")

    def sent(self) -> bytes:
        """What the host has written so far."""
        self.far.setblocking(False)
        try:
            return self.far.recv(65536)
        except BlockingIOError:
            return b""


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.port.close()
    line.far.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "BOOT_PATIENCE", 0.05)
    monkeypatch.setattr(monitor_module, "ANSWER_PATIENCE", 0.05)
    monkeypatch.setattr(serial_module, "SETTLE", 0.05)


def greeted(line: Line, machine: Machine) -> Monitor:
    line.far.sendall(HELLO + b"a\n")
    monitor = Monitor(line.port, machine.memory, MEMORY)
    assert line.sent() == b"?a"
    return monitor


# Greeting


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        (HELLO + b"a\n", b"?a"),
        (HELLO + b"-\n" + HELLO + b"b\n", b"?a?b"),
        (HELLO + b"-\n" + HELLO + b"a\n" + HELLO + b"b\n", b"?a?b"),
        (HELLO + b"-\n" + HELLO + b"-\n" + HELLO + b"c\n", b"?a?b?c"),
        (b"SeaBIOS (version 1.16)\r\n\r\n" + HELLO + b"a\r\n", b"?a"),
        (b"\xff\x00rubbish " + HELLO + b"x\n" + HELLO + b"a\n", b"?a"),
    ],
    ids=["own-hello-missed", "question-lost", "both-answered", "booted-twice", "firmware", "noise"],
)
def test_greeting_finds_the_guest(line: Line, machine: Machine, heard: bytes, said: bytes) -> None:
    line.far.sendall(heard)
    monitor = Monitor(line.port, machine.memory, MEMORY)
    assert line.sent() == said
    assert monitor.free_memory == 0x1020000


def test_answer_to_another_question_is_no_greeting(line: Line, machine: Machine) -> None:
    line.far.sendall(HELLO + b"q\n")
    with pytest.raises(DeadlineExceeded, match=r"the probe guest's first answer.*last words: 'probe 1 .* q'"):
        Monitor(line.port, machine.memory, MEMORY)


def test_silent_guest_is_named_with_its_last_words(line: Line, machine: Machine) -> None:
    line.far.sendall(b"BIOS: no bootable device\n")
    with pytest.raises(
        DeadlineExceeded, match=rf"waited {0.05 * PACE:.1f} s for .*: 'BIOS: no bootable device'"
    ):
        Monitor(line.port, machine.memory, MEMORY)


def test_vmm_that_dies_before_the_greeting_is_named(line: Line, machine: Machine) -> None:
    line.dead = True
    with pytest.raises(VmmDied, match="the suite awaited the probe guest's first answer"):
        Monitor(line.port, machine.memory, MEMORY)


# Batches


def test_answers_are_the_reads_of_a_batch(line: Line, machine: Machine) -> None:
    monitor = greeted(line, machine)
    line.far.sendall(b".\n")
    assert monitor.run([read(4, 0x1000)]) == [0]
    assert line.sent() == b"x"


def test_fault_names_what_faulted_and_the_operation(line: Line, machine: Machine) -> None:
    monitor = greeted(line, machine)
    line.far.sendall(b"!fault vector=0e code=00000002\n")
    with pytest.raises(GuestError) as caught:
        monitor.run([read(4, 0xABC), port_in(1, 0x3F8)])
    assert "faulted in a batch of 2 operations: fault vector=0e code=00000002" in str(caught.value)
    assert "address=2748" in str(caught.value)


def test_monitor_works_on_after_a_fault(line: Line, machine: Machine) -> None:
    monitor = greeted(line, machine)
    line.far.sendall(b"!fault vector=0d\n.\n")
    with pytest.raises(GuestError, match="vector=0d"):
        monitor.run([read(4, 0)])
    assert monitor.run([read(4, 0)]) == [0]


def test_restart_in_the_middle_of_a_batch_is_named(line: Line, machine: Machine) -> None:
    monitor = greeted(line, machine)
    line.far.sendall(HELLO + b"-\n")
    with pytest.raises(GuestError, match="started anew in the middle of a batch of 1 operations"):
        monitor.run([read(4, 0)])


def test_silence_in_a_batch_is_named(line: Line, machine: Machine) -> None:
    monitor = greeted(line, machine)
    with pytest.raises(
        DeadlineExceeded, match=rf"waited {0.05 * PACE:.1f} s for a batch of 1 operations; .*last words"
    ):
        monitor.run([read(4, 0)])


def test_vmm_that_dies_in_a_batch_is_named(line: Line, machine: Machine) -> None:
    monitor = greeted(line, machine)
    line.dead = True
    line.far.close()
    with pytest.raises(VmmDied):
        monitor.run([read(4, 0)])


def test_closed_line_of_a_living_vmm_is_named(line: Line, machine: Machine) -> None:
    monitor = greeted(line, machine)
    line.far.shutdown(socket.SHUT_WR)
    with pytest.raises(
        GuestError, match=r"closed the serial port while the suite awaited a batch of 1 operations"
    ):
        monitor.run([read(4, 0)])
