"""Programs that are missing, end at once, hang, or find their place taken: a sentence, and nothing is left."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.errors import BadInput, DeadlineExceeded, HarnessError, Unavailable
from harness.host import farewell
from harness.host.real_backends import base, testpmd
from harness.host.real_backends.testpmd import Testpmd
from harness.host.real_backends.vhost_user_net import VhostUserNet
from tests.vmm.fakes import processes_naming

TAP = "mq-fake"

pytestmark = pytest.mark.usefixtures("own_network")


def started(folder: Path, script: str) -> VhostUserNet:
    """A back end whose program is this shell script."""
    program = folder / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    place = folder / "place"
    place.mkdir(exist_ok=True)
    return VhostUserNet(program, TAP, place, 2)


def left_over(folder: Path) -> list[str]:
    """Processes, interfaces and sockets that are still there."""
    farewell.settle()
    names = [name for _, name in socket.if_nameindex() if name == TAP]
    sockets = [str(path) for path in folder.rglob("*") if path.is_socket()]
    return processes_naming(str(folder)) + names + sockets


def test_program_that_ends_at_once_is_told_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"ended \(exit status 3\) before it was ready.*no tap for you"):
        started(tmp_path, "echo no tap for you; exit 3")
    assert left_over(tmp_path) == []


def test_program_that_hangs_is_told_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "READY_WITHIN", 0.3)
    with pytest.raises(DeadlineExceeded, match=r"for vhost_user_net to open its socket; last seen: thinking"):
        started(tmp_path, "echo thinking; exec sleep 60")
    assert left_over(tmp_path) == []


def test_program_that_cannot_be_executed_is_told(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="before it was ready"):
        started(tmp_path, "").close()
    (tmp_path / "program").write_bytes(b"\x7fELF" + bytes(60))
    with pytest.raises(HarnessError, match=r"before it was ready.*program"):
        VhostUserNet(tmp_path / "program", TAP, tmp_path / "place", 2)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "words"), [("back-end", "exists already"), ("vhost-user", "another program listens on")]
)
def test_socket_that_exists_is_told_and_stays(tmp_path: Path, name: str, words: str) -> None:
    """A live socket in the program's place, and one in the VMM's."""
    (tmp_path / "place").mkdir()
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(tmp_path / "place" / name))
        taken.listen()
        with pytest.raises(BadInput, match=words):
            started(tmp_path, f"touch {tmp_path}/place/back-end; exec sleep 60")
    assert left_over(tmp_path) == [str(tmp_path / "place" / name)]


def test_missing_program_is_said_with_the_line_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testpmd, "PROGRAM", "no-such-testpmd")
    with pytest.raises(Unavailable, match="no-such-testpmd is missing: apt-get install dpdk-dev"):
        Testpmd(tmp_path, 2)
    assert left_over(tmp_path) == []
