"""The lab's folder: who holds it, and what is left in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.lab.state import State
from harness.lab.visible import HOST, hidden


@pytest.fixture
def place(tmp_path: Path) -> State:
    return State(tmp_path / "lab")


def test_nobody_holds_a_folder_that_is_not_there(place: State) -> None:
    assert place.holder() is None
    assert place.connect(1) is None
    assert place.console_tail() == "(empty)"


def test_one_keeper_at_a_time(place: State) -> None:
    lock = place.hold()
    assert place.holder() == os.getpid()
    with pytest.raises(BlockingIOError):
        place.hold()
    os.close(lock)
    assert place.holder() is None


def test_keeper_clears_what_the_one_before_left(place: State) -> None:
    os.close(place.hold())
    for path in (place.console, place.failure, place.share / "left"):
        path.write_text("old")
    os.close(place.hold())
    assert not place.console.exists()
    assert not place.failure.exists()
    assert list(place.share.iterdir()) == []


def test_folder_that_cannot_be_made_is_said_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match=r"cannot write the lab's folder .*: set XDG_CACHE_HOME"):
        State(tmp_path / "file" / "lab").hold()


def test_tail_of_the_console_is_readable(place: State) -> None:
    place.folder.mkdir()
    place.console.write_bytes(b"one\n\0\0two\nthree\xff\n")
    assert place.console_tail(2) == "two\nthree\ufffd"


def test_what_the_labs_own_folders_hide_is_known() -> None:
    paths = [Path("/tmp/x/y"), Path("/home/x"), Path("/run/z"), Path("/tmpx")]
    assert hidden(paths) == [Path("/tmp/x/y"), Path("/run/z")]
    assert hidden([HOST]) == [HOST]
