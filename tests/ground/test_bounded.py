"""Readers of what others wrote: they end in time, within their bound, and say in words what is wrong."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bounded import TooSlow, Unreadable, collect, parse_json, read_file, read_tail, run
from harness.checkout import ROOT
from harness.deadline import PACE, Deadline, wait_until
from harness.errors import Owner
from tests.vmm.fakes import processes_naming


def endless(seconds: float = 0.0) -> Iterator[bytes]:
    while True:
        time.sleep(seconds)
        yield b"x" * 100


def test_pieces_without_end_are_too_long_or_too_late() -> None:
    with pytest.raises(Unreadable, match="is longer than 1000 bytes"):
        collect(endless(), 1000, Deadline(60))
    with pytest.raises(TooSlow):
        collect(endless(0.01), 1 << 40, Deadline(0.05))
    assert collect([b"a", b"b"], 2, Deadline(60)) == b"ab"


def test_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    with pytest.raises(Unreadable, match="is longer than 4 bytes"):
        read_file(path, 4)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        with pytest.raises(Unreadable, match=r"cannot be read \("):
            read_file(path, 1 << 20)
    with pytest.raises(Unreadable, match="No such file"):
        read_file(tmp_path / "none", 1)


def test_tail_begins_with_a_line_and_says_where(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nthree\n")
    assert read_tail(path, 100) == (0, b"one\ntwo\nthree\n")
    assert read_tail(path, 10) == (8, b"three\n")
    assert read_tail(path, 3) == (11, b"ee\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff\xfe", "is not JSON"),
        (b'{"a": "\xff"}', "is not JSON"),
        (b"[" * 100_000, "is n"),
        (b"", "is not JSON"),
        (b'{"a": ', "is not JSON"),
    ],
    ids=["bytes", "string", "deep", "empty", "cut"],
)
def test_what_is_no_json_is_said(text: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        parse_json(text)


def program(code: str) -> list[str]:
    return [sys.executable, "-SEc", code]


def test_program_is_heard() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    assert run(program(code), 100, Deadline(20)) == (3, "out\n", "err\n")


def test_program_that_floods_or_hangs_is_ended_with_its_children() -> None:
    with pytest.raises(Unreadable, match="does not stop talking: it said more than 1 MiB"):
        run(["/bin/sh", "-c", "yes; true"], 1 << 20, Deadline(20))
    began = time.monotonic()
    with pytest.raises(TooSlow):
        run(["/bin/sh", "-c", "sleep 77.7; true"], 100, Deadline(0.2))
    assert time.monotonic() - began < 10 * PACE
    wait_until("the child's end", lambda: not processes_naming("sleep 77.7"), owed_by=Owner.HOST, within=5)


def test_program_is_given_its_folder_its_environment_and_its_input(tmp_path: Path) -> None:
    words = ["/bin/sh", "-c", "pwd; echo $MARK; cat"]
    told = run(words, 1000, Deadline(10), folder=tmp_path, environment={"MARK": "set"}, given="words\n")
    assert told == (0, f"{tmp_path}\nset\nwords\n", "")


UNBOUNDED = ("capture_output", "check_output", "communicate(", "getoutput")
OWN = {ROOT / "harness/process/tether.py", ROOT / "harness/scratch.py"}
"""They hear commands of this project alone."""


def test_no_other_way_to_hear_a_program_is_taken() -> None:
    files = set((ROOT / "harness").rglob("*.py"))
    assert files > OWN
    heard = [path for path in files - OWN for word in UNBOUNDED if word in path.read_text()]
    assert heard == []
