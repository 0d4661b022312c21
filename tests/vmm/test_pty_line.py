"""A terminal that behaves like a socket, under a serial port."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import GuestError
from harness.vmm.pty_line import PtyLine
from harness.vmm.serial import SerialPort


@pytest.fixture
def vmms_end() -> Iterator[int]:
    main, user = os.openpty()
    os.close(user)
    yield main
    os.close(main)


@pytest.fixture
def port(vmms_end: int) -> Iterator[SerialPort]:
    port = SerialPort(PtyLine(Path(os.ptsname(vmms_end))), lambda _: None)
    yield port
    port.close()


def test_lines_go_both_ways_as_they_are(port: SerialPort, vmms_end: int) -> None:
    os.write(vmms_end, b"probe 1\nno echo\r\n")
    assert port.read_line(within=1, awaiting="a line") == b"probe 1"
    assert port.read_line(within=1, awaiting="a line") == b"no echo"
    port.send(b"peek\n\x03\x04")
    assert os.read(vmms_end, 100) == b"peek\n\x03\x04"
    assert port.drain() == b""


def test_a_vmm_that_hangs_up_is_noticed() -> None:
    main, user = os.openpty()
    port = SerialPort(PtyLine(Path(os.ptsname(main))), lambda _: None)
    os.close(user)
    os.write(main, b"last words")
    os.close(main)
    with pytest.raises(GuestError, match="the VMM closed the serial port"):
        port.read_line(within=1, awaiting="a line")
    port.close()
    port.close()
