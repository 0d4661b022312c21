"""A log that grows without end takes bounded room on the disk, and keeps its beginning, its end and its length."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness.bounded import MIB
from harness.deadline import wait_until
from harness.errors import Owner
from harness.process import log_cap
from harness.process.child import VmmProcess

FLOOD = "import sys\nprint('begin')\nfor n in range({n}): sys.stdout.write('x' * 1023 + '\\n')\nprint('end')"


def on_disk(path: Path) -> int:
    return path.stat().st_blocks * 512


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_cap, "TAIL", MIB)


def test_a_flood_takes_bounded_room(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = VmmProcess([sys.executable, "-SEc", FLOOD.format(n=64 << 10)], log)
    process.wait(60)
    process.stop()
    assert log.stat().st_size > 64 * MIB
    assert on_disk(log) <= 4 * MIB
    assert process.output().endswith("\nend\n")
    assert len(process.output()) <= 4 * MIB
    with log.open("rb") as file:
        assert file.read(6) == b"begin\n"


def test_it_is_bounded_while_the_program_lives(tmp_path: Path) -> None:
    log = tmp_path / "log"
    endless = "import time\n" + FLOOD.format(n=32 << 10) + "\nsys.stdout.flush()\ntime.sleep(600)"
    process = VmmProcess([sys.executable, "-SEc", endless], log)
    try:
        wait_until("the flood", lambda: log.stat().st_size > 32 * MIB, owed_by=Owner.HOST, within=60)
        wait_until("the log to be cut", lambda: on_disk(log) <= 4 * MIB, owed_by=Owner.HOST, within=10)
    finally:
        process.stop()


def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    process = VmmProcess([sys.executable, "-SEc", FLOOD.format(n=1000)], tmp_path / "log")
    process.wait(60)
    process.stop()
    assert len(process.output().splitlines()) == 1002


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(os.urandom(4 * MIB))
    before = target.read_bytes()
    (tmp_path / "log").symlink_to(target)
    log_cap.watch(tmp_path / "log")
    log_cap.unwatch(tmp_path / "log")
    assert target.read_bytes() == before
