"""Reading what others wrote: a VMM, a guest, a back end, a server, a file from elsewhere.

Any of it may have no end, come byte by byte, be no text, or be no file. So each reader here has a bound in bytes, and
looks at its deadline at each piece.
"""

from __future__ import annotations

import os
import stat
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import msgspec

from harness.deadline import Deadline

MIB = 1 << 20
PIECE = 1 << 16
TOML_LIMIT = 16 * MIB
DIGITS = 18
"""Of a number that a parser takes for one: more is no measure of anything, and int() refuses 4300."""


class Unreadable(Exception):
    """What was read is not what it should be. The text completes "it ...": "is longer than 4 MiB"."""


class TooSlow(Exception):
    """It had not come to its end when the deadline was over."""


def collect(pieces: Iterable[bytes], limit: int, deadline: Deadline) -> bytes:
    """All pieces in one. Raises Unreadable for more than `limit` bytes, TooSlow."""
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > limit:
            raise Unreadable(f"is longer than {_size(limit)}")
        if deadline.expired():
            raise TooSlow
    return bytes(content)


def read_file(path: Path, limit: int) -> bytes:
    """The content of a regular file. Raises Unreadable for any other, for one that is longer, or cannot be read."""
    try:
        with _opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            content = file.read(min(size + PIECE, limit + 1))  # it may be growing
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror})") from None
    if len(content) > limit:
        raise Unreadable(f"is longer than {_size(limit)}")
    return content


def read_tail(path: Path, limit: int) -> tuple[int, bytes]:
    """The last `limit` bytes of a regular file, and where they begin: with a line, if one begins in their first half.

    Raises OSError.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = max(0, size - limit)
        file.seek(start)
        content = file.read(limit)
    if start:
        cut = content.find(b"\n", 0, limit // 2) + 1
        return start + cut, content[cut:]
    return 0, content


def _opened(path: Path) -> BinaryIO:
    """A regular file, open for reading; a FIFO or a device, which might never answer, is none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no file")
    return os.fdopen(descriptor, "rb")


def parse_json(content: bytes | str) -> Any:
    """Decode a JSON text. Raises Unreadable for one that is none, not UTF-8, or nested too deeply."""
    try:
        return msgspec.json.decode(content)
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Unreadable(f"is not JSON ({error})") from None


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file. Raises Unreadable for one that is none, not UTF-8, or nested too deeply."""
    try:
        return tomllib.loads(read_file(path, TOML_LIMIT).decode())
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except ValueError as error:  # of numbers beyond any calendar too
        raise Unreadable(f"is not TOML ({error})") from None


def run(
    argv: Sequence[str],
    limit: int,
    deadline: Deadline,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    given: str = "",
) -> tuple[int, str, str]:
    """Run a program: its exit status, what it printed, and its errors, each of `limit` bytes at most.

    `folder` is its working folder (None: ours), `environment` all of its variables (None: ours), and `given` its
    standard input. Whatever it started is ended with it.

    Raises TooSlow if it does not end, Unreadable if it does not stop talking, OSError if it cannot be executed.
    """
    with TemporaryFile() as words:
        words.write(given.encode())
        words.seek(0)
        process = subprocess.Popen(
            argv,
            stdin=words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    try:
        said = {0: bytearray(), 1: bytearray()}
        for number, piece in _pieces(process, deadline):
            said[number] += piece
            if len(said[number]) > limit:
                raise Unreadable(f"does not stop talking: it said more than {_size(limit)}")
        with suppress(subprocess.TimeoutExpired):
            status = process.wait(deadline.remaining())
            return status, said[0].decode(errors="replace"), said[1].decode(errors="replace")
        raise TooSlow
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def _pieces(process: subprocess.Popen[bytes], deadline: Deadline) -> Iterator[tuple[int, bytes]]:
    import selectors

    with selectors.DefaultSelector() as ready:
        for number, pipe in enumerate((process.stdout, process.stderr)):
            assert pipe is not None
            ready.register(pipe, selectors.EVENT_READ, number)
        while ready.get_map():
            events = ready.select(deadline.remaining())
            if not events or deadline.expired():
                raise TooSlow
            for key, _ in events:
                if piece := os.read(key.fd, PIECE):
                    yield key.data, piece
                else:
                    ready.unregister(key.fileobj)


def _size(limit: int) -> str:
    return f"{limit // MIB} MiB" if limit >= MIB else f"{limit} bytes"
