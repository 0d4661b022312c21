"""One run, seen from the agent."""

from __future__ import annotations

import os
import selectors
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.deadline import Deadline, wait_until
from harness.errors import Owner
from harness.lab.run import CANNOT_EXECUTE, Run, exit_code
from harness.lab.wire import Kind, Request

PATIENCE = 10.0


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    with ExitStack() as undo:
        yield undo


class Watched:
    """A run, and what came out of it."""

    def __init__(self, request: Request, undo: ExitStack) -> None:
        self.run = Run(request, "")
        undo.callback(self.run.close)
        self.out: dict[Kind, bytes] = dict.fromkeys((Kind.OUTPUT, Kind.ERRORS, Kind.RECORD), b"")

    def until_end(self) -> int:
        """Its exit status, once all its outlets are at their end."""
        deadline = Deadline(PATIENCE)
        with selectors.DefaultSelector() as selector:
            for outlet in self.run.outlets:
                selector.register(outlet, selectors.EVENT_READ)
            while selector.get_map():
                assert not deadline.expired(), self.out
                for key, _ in selector.select(0.1):
                    if (data := self.run.read(key.fd)) is None:
                        selector.unregister(key.fd)
                    else:
                        self.out[self.run.outlets[key.fd]] += data
        return exit_code(os.waitpid(self.run.pid, 0)[1])


def request(*argv: str, terminal: tuple[int, int] | None = None, **env: str) -> Request:
    return Request(argv=argv, cwd="/", env={"PATH": os.environ["PATH"], **env}, terminal=terminal)


def test_outlets_are_told_apart(undo: ExitStack) -> None:
    watched = Watched(request("sh", "-c", "echo out; echo err >&2; echo record >&3; pwd; exit 5"), undo)
    assert watched.until_end() == 5
    assert watched.out == {Kind.OUTPUT: b"out\n/\n", Kind.ERRORS: b"err\n", Kind.RECORD: b"record\n"}


def test_input_larger_than_a_pipe_arrives(undo: ExitStack) -> None:
    watched = Watched(request("head", "-c", "300000"), undo)
    waits = watched.run.write(bytes(300000))
    while waits:
        for outlet in watched.run.outlets:
            watched.out[watched.run.outlets[outlet]] += watched.run.read(outlet) or b""
        waits = watched.run.write()
    assert watched.until_end() == 0
    assert len(watched.out[Kind.OUTPUT]) == 300000


def test_command_has_the_environment_that_was_asked_for(
    undo: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MQ_PACE", "8")
    monkeypatch.setenv("OTHER", "x")
    watched = Watched(request("sh", "-c", "echo $MQ_PACE $OTHER $ASKED", ASKED="yes", MQ_PACE="1"), undo)
    assert watched.until_end() == 0
    assert watched.out[Kind.OUTPUT] == b"8 yes\n"


def test_missing_command_is_said_as_a_shell_does(undo: ExitStack) -> None:
    watched = Watched(request("/no/such"), undo)
    assert watched.until_end() == CANNOT_EXECUTE
    assert watched.out[Kind.ERRORS] == b"/no/such: No such file or directory\n"


def test_signal_reaches_all_of_the_command(undo: ExitStack) -> None:
    watched = Watched(request("sh", "-c", "sleep 100 & echo ready; wait"), undo)
    outlet = next(iter(watched.run.outlets))
    wait_until(
        "the command to be there", lambda: watched.run.read(outlet), owed_by=Owner.HOST, within=PATIENCE
    )
    watched.run.signal(signal.SIGTERM)
    assert watched.until_end() == 128 + signal.SIGTERM


def test_terminal_is_one_of_the_size_that_was_asked_for(undo: ExitStack) -> None:
    watched = Watched(request("sh", "-c", "stty size; tty >/dev/null && echo yes", terminal=(33, 77)), undo)
    assert watched.until_end() == 0
    assert watched.out[Kind.OUTPUT].split() == [b"33", b"77", b"yes"]


def test_no_descriptor_of_the_agent_is_inherited(undo: ExitStack) -> None:
    watched = Watched(request(sys.executable, "-c", "import os; print(os.listdir('/proc/self/fd'))"), undo)
    assert watched.until_end() == 0
    assert watched.out[Kind.OUTPUT] == b"['0', '1', '2', '3', '4']\n"  # the last one lists them
