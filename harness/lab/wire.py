"""Frames between client, keeper and agent: what belongs to which run, over one stream of bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import msgspec

from harness.errors import Unavailable

_HEADER = struct.Struct("!IBI")
RECORDS = 3
"""The descriptor on which a run's program writes records."""
LARGEST = 1 << 24
"""Bytes of payload that no frame exceeds."""

T = TypeVar("T")


class Kind(IntEnum):
    """What a frame is about, and what its payload is."""

    START = 1
    """Start a run: Request."""
    INPUT = 2
    """Bytes for the run's standard input."""
    OUTPUT = 3
    """Bytes from its standard output, or from its terminal."""
    ERRORS = 4
    """Bytes from its standard error."""
    RECORD = 5
    """Bytes from its descriptor 3: what one program tells another."""
    EXIT = 6
    """The run's end: its exit status as a shell counts, an int."""
    SIGNAL = 7
    """A signal for the run's processes: its number, an int."""
    PING = 8
    """The agent answers with the same."""
    IMPORTING = 9
    """What the agent is about to import, a str."""
    READY = 10
    """The agent has imported everything: Facts."""
    STATUS = 11
    """Asked for by a client, and sent to all as a sign of life: Status."""
    DOWN = 12
    """Asked for by a client: the lab's end."""
    GONE = 13
    """The lab has ended, and this is why: a sentence and the console's last lines, a str."""
    RENEW = 14
    """Asked for by a client: another machine in place of this one."""


_KINDS = frozenset(int(kind) for kind in Kind)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A command to run in the lab."""

    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    sources: str = ""
    """Which version of the harness is to run (see `harness.lab.preload.sources`), where it matters."""
    terminal: tuple[int, int] | None = None
    """Rows and columns, if the command is to have a terminal."""
    visible: tuple[str, ...] = ()
    """Paths of the host that are to be seen although they lie below a folder for temporary files."""


class Facts(msgspec.Struct, frozen=True):
    """What the machine in the lab is."""

    kernel: str
    cpus: int

    def __str__(self) -> str:
        return f"Linux {self.kernel}, {self.cpus} CPUs emulated by QEMU"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the lab is."""

    phase: str
    """`fetching`, `booting`, `importing ...`, or `ready`."""
    seconds: float
    """Since it was started."""
    root: str
    """The checkout that it was started from."""
    environment: str
    """What was installed when it was started (see `harness.lab.state.environment`)."""
    facts: Facts | None = None
    """Of a lab that is ready."""
    runs: int = 0
    console: str = ""
    """The console's last line."""
    pid: int = 0
    """The keeper's process."""


@dataclass(frozen=True)
class Frame:
    """One message. `run` is 0 where it is about no run."""

    run: int
    kind: Kind
    payload: bytes = b""

    def packed(self) -> bytes:
        """The frame's bytes on the stream."""
        return _HEADER.pack(self.run, self.kind, len(self.payload)) + self.payload

    def holds(self, kind: type[T]) -> T:
        """The payload of a frame that is not bytes. Raises Unavailable if it is something else."""
        try:
            return msgspec.json.decode(self.payload, type=kind)
        except msgspec.MsgspecError as error:
            raise Unavailable(f"the lab sent a {self.kind.name} that makes no sense: {error}") from None


def frame(run: int, kind: Kind, content: object) -> Frame:
    """A frame whose payload is not bytes."""
    return Frame(run, kind, msgspec.json.encode(content))


class Decoder:
    """Cuts a stream of bytes into frames, however it arrives."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with these bytes. Raises Unavailable if the stream holds no frames."""
        self._pending += data
        while len(self._pending) >= _HEADER.size:
            run, kind, length = _HEADER.unpack_from(self._pending)
            if length > LARGEST or kind not in _KINDS:
                raise Unavailable(f"the lab's stream is out of step: {bytes(self._pending[:16]).hex(' ')}")
            end = _HEADER.size + length
            if len(self._pending) < end:
                return
            payload = bytes(self._pending[_HEADER.size : end])
            del self._pending[:end]
            yield Frame(run, Kind(kind), payload)
