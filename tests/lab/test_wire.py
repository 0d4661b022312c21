"""Frames over a stream of bytes."""

from __future__ import annotations

import pytest

from harness.errors import Unavailable
from harness.lab.wire import LARGEST, Decoder, Facts, Frame, Kind, frame

SENT = [
    frame(7, Kind.START, {"argv": ["true"]}),
    Frame(7, Kind.OUTPUT, b"\x00\xff" * 40),
    Frame(7, Kind.PING),
    frame(7, Kind.EXIT, 3),
]
STREAM = b"".join(message.packed() for message in SENT)


@pytest.mark.parametrize("size", [1, 2, 9, 10, len(STREAM)])
def test_frames_come_out_however_the_stream_is_cut(size: int) -> None:
    decoder = Decoder()
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [message for piece in pieces for message in decoder.feed(piece)] == SENT


@pytest.mark.parametrize("header", [b"\0\0\0\1\xee\0\0\0\0", b"\0\0\0\1\3" + (LARGEST + 1).to_bytes(4)])
def test_stream_that_holds_no_frames_is_given_up(header: bytes) -> None:
    with pytest.raises(Unavailable, match="out of step"):
        list(Decoder().feed(header))


def test_frame_holds_what_was_put_in() -> None:
    facts = Facts("6.1", 2)
    assert frame(0, Kind.READY, facts).holds(Facts) == facts
    assert str(facts) == "Linux 6.1, 2 CPUs emulated by QEMU"


def test_frame_that_holds_something_else_is_told() -> None:
    with pytest.raises(Unavailable, match="the lab sent a READY that makes no sense"):
        Frame(0, Kind.READY, b"[]").holds(Facts)
