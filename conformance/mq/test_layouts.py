"""How a command is cut into descriptors is the driver's business (virtio 1.2, 2.7.4.1)."""

from typing import NamedTuple

import pytest

from harness.guest.answer import UNTOUCHED, Ack
from harness.guest.probe.net import VirtioNet, pairs_set
from harness.guest.status import Status
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = pytest.mark.backends("tap", "vhost-user")

HEADER, THREE = pairs_set(3)
WHOLE = HEADER + THREE


class Layout(NamedTuple):
    """What the device reads, and the lengths of what it writes, a descriptor each."""

    out: list[bytes]
    into: list[int]


LEGAL = {
    "header-and-data-apart": Layout([HEADER, THREE], [1]),
    "all-in-one": Layout([WHOLE], [1]),
    "a-byte-each": Layout([bytes([byte]) for byte in WHOLE], [1]),
    "class-apart": Layout([WHOLE[:1], WHOLE[1:]], [1]),
    "data-split": Layout([HEADER, THREE[:1], THREE[1:]], [1]),
    "long-ack-buffer": Layout([HEADER, THREE], [4]),
    "ack-in-two-buffers": Layout([HEADER, THREE], [1, 1]),
}


@pytest.mark.parametrize("layout", LEGAL.values(), ids=LEGAL)
@requirement("NET-MQ-20", "NET-MQ-18")
def test_every_layout_is_understood(nic: Nic, net: VirtioNet, layout: Layout) -> None:
    """The same command in any legal cut: acknowledged, the ack in the first byte, nothing else written, and done."""
    answer = net.control(layout.out, layout.into)
    assert answer
    assert answer.data[1:] == bytes([UNTOUCHED]) * (sum(layout.into) - 1)
    assert nic.host().count == 3


@pytest.mark.parametrize("data", [b"", b"\x03"], ids=["no-data", "one-byte"])
@requirement("NET-MQ-21", "NET-MQ-13")
def test_short_data_is_refused(nic: Nic, net: VirtioNet, data: bytes) -> None:
    """A command without its two bytes of data is answered ERR and changes nothing; a whole one works after it."""
    before = nic.host()
    assert not net.control([HEADER, data] if data else [HEADER])
    assert nic.host() == before
    assert nic.set_pairs(2)


@requirement("NET-MQ-21")
def test_long_data_is_tolerated(nic: Nic, net: VirtioNet) -> None:
    """Of four bytes of data the first two count."""
    assert net.control([HEADER, THREE + b"\xff\xff"])
    assert nic.host().count == 3


MALFORMED = {
    "no-ack": Layout([HEADER, THREE], []),
    "one-byte-in-all": Layout([HEADER[:1]], [1]),
    "only-an-ack": Layout([], [1]),
}


@pytest.mark.parametrize("layout", MALFORMED.values(), ids=MALFORMED)
@requirement("NET-MQ-22", "NET-FEAT-05")
def test_malformed_command_is_survived(nic: Nic, net: VirtioNet, layout: Layout) -> None:
    """The device may refuse, ignore it, or ask for a reset; the VM lives, and after a reset all works."""
    answer = net.control(layout.out, layout.into)
    assert answer.ack in (Ack.ERR, Ack.NONE, Ack.SILENCE)
    nic.vm.check_alive("a malformed control command was sent")
    nic.reset()
    assert not net.device.status & Status.NEEDS_RESET
    assert nic.set_pairs(2)
