"""A stand-in for a VMM, under a supervisor: it opens a multi-queue tap and attaches and detaches on request."""

from __future__ import annotations

import errno
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.deadline import PACE, Deadline
from harness.errors import DeadlineExceeded, Owner
from harness.host.syscalls import Call, Policy, Supervisor, missing

CHILD = Path(__file__).with_name("tap_child.py")


class StandIn:
    """The supervised child. `tell` has it do something; the rest are shorthands for tap `t0` of four queues."""

    def __init__(self, policy: Policy | None = None) -> None:
        argv = [sys.executable, "-I", "-S", str(CHILD)]
        self.supervisor = Supervisor(argv, policy, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.popen = self.supervisor.popen

    def send(self, command: str, *arguments: object) -> None:
        assert self.popen.stdin
        self.popen.stdin.write(json.dumps([command, *arguments]).encode() + b"\n")
        self.popen.stdin.flush()

    def answer(self, awaiting: str = "an answer") -> Any:
        assert self.popen.stdout
        deadline, line = Deadline(10), b""
        while not line.endswith(b"\n"):
            if not self.speaks(deadline.remaining()):
                raise DeadlineExceeded(f"waited 10 s for {awaiting}; calls so far: {self.calls}", Owner.HOST)
            if not (part := os.read(self.popen.stdout.fileno(), 65536)):
                raise EOFError(f"the child ended while {awaiting} was awaited; calls so far: {self.calls}")
            line += part
        return json.loads(line)

    def speaks(self, within: float) -> bool:
        assert self.popen.stdout
        return bool(select.select([self.popen.stdout], [], [], within)[0])

    def tell(self, command: str, *arguments: object) -> Any:
        self.send(command, *arguments)
        return self.answer(f"the answer to {command}{arguments}")

    def attach(self, *pairs: int, **more: Any) -> list[int]:
        return self._call("attach", pairs, **more)

    def detach(self, *pairs: int, **more: Any) -> list[int]:
        return self._call("detach", pairs, **more)

    def _call(
        self, action: str, pairs: tuple[int, ...], tap: str = "t0", thread: str | None = None, copy: int = 0
    ) -> list[int]:
        answer: list[int] = self.tell("call", tap, action, list(pairs), thread, copy)
        return answer

    def attached(self, tap: str = "t0") -> set[int]:
        return set(self.tell("attached", tap))

    @property
    def calls(self) -> list[Call]:
        return self.supervisor.calls

    def close(self) -> None:
        self.popen.kill()
        self.popen.wait(10 * PACE)
        for stream in (self.popen.stdin, self.popen.stdout):
            assert stream
            stream.close()
        self.supervisor.close()


MakeStandIn = Callable[..., StandIn]


@pytest.fixture(scope="session")
def _possible() -> None:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("/dev/net/tun cannot be opened: load the module with modprobe tun, or run with sudo")


@pytest.fixture
def stand_in(_possible: None) -> Iterator[MakeStandIn]:
    """Starts a stand-in under the given policy, in its own network namespace, with tap t0 of four queues open.

    `displaced`: their descriptors are not in the order of the pairs. With a `tap` it opens that one, in this network.
    """
    with ExitStack() as undo:

        def make(policy: Policy | None = None, *, displaced: bool = False, tap: str = "") -> StandIn:
            child = StandIn(policy)
            undo.callback(child.close)
            assert child.answer("the child to start") == "ready"
            if not tap and (code := child.tell("enter")):
                pytest.skip(f"no network namespace ({errno.errorcode[code]}): run with sudo")
            child.tell("open_tap", tap or "t0", 4, displaced)
            return child

        yield make
