"""A terminal that behaves like a socket, under a serial port."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.errors import GuestError
from harness.vmm.pty_line import PtyLine
from harness.vmm.serial import SerialPort


@pytest.fixture
def ends() -> Iterator[tuple[int, SerialPort]]:
    """The VMM's end, and the port that is connected to it."""
    vmms, users = os.openpty()
    port = SerialPort(PtyLine.at(Path(os.ttyname(users))), lambda _: None)
    os.close(users)
    yield vmms, port
    port.close()
    with suppress(OSError):
        os.close(vmms)


def test_lines_go_both_ways_as_they_are(ends: tuple[int, SerialPort]) -> None:
    vmms_end, port = ends
    os.write(vmms_end, b"probe 1\nno echo\r\n")
    assert port.read_line(within=1, awaiting="a line") == b"probe 1"
    assert port.read_line(within=1, awaiting="a line") == b"no echo"
    port.send(b"peek\n\x03\x04")
    assert os.read(vmms_end, 100) == b"peek\n\x03\x04"
    assert port.drain() == b""


def test_a_vmm_that_hangs_up_is_noticed_once_all_is_read(ends: tuple[int, SerialPort]) -> None:
    vmms_end, port = ends
    os.write(vmms_end, b"a line\n")
    assert port.read_line(within=1, awaiting="a line") == b"a line"
    os.close(vmms_end)
    with pytest.raises(GuestError, match="the VMM closed the serial port"):
        port.read_line(within=1, awaiting="a line")
    port.close()
