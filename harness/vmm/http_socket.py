"""HTTP over a UNIX socket, one question a connection: the whole answer within a deadline, and a bound in bytes."""

from __future__ import annotations

import http.client
import json
import select
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.bounded import MIB
from harness.deadline import Deadline

ANSWER_LIMIT = 4 * MIB
"""Of an answer with its headers. The longest that cloud-hypervisor gives, vm.info, has some kilobytes."""


@dataclass(frozen=True)
class Reply:
    """What was answered."""

    status: int
    content: bytes

    @property
    def is_error(self) -> bool:
        """Whether the server refused."""
        return self.status >= http.client.BAD_REQUEST


class NoAnswer(Exception):
    """What came is no answer, or none that ends. The text, one line, says why."""

    @classmethod
    def of(cls, error: Exception) -> NoAnswer:
        """What an error says, in one line."""
        return cls(" ".join(str(error).split())[:200] or type(error).__name__)


class _Bounded(socket.socket):
    """A stream socket that looks at a deadline and at a bound with each piece that it receives."""

    def __init__(self, deadline: Deadline, fds: Sequence[int]) -> None:
        super().__init__(socket.AF_UNIX)
        self._deadline = deadline
        self._left = ANSWER_LIMIT
        self._fds = fds
        self.hurry()

    def hurry(self) -> None:
        """Let the next call end with the deadline. Raises TimeoutError if that is over."""
        if self._deadline.expired():
            raise TimeoutError
        self.settimeout(self._deadline.remaining() or 1e-6)

    def sendall(self, data: Any, *arguments: Any) -> None:
        """See socket.sendall; the descriptors go with the first bytes."""
        if self._fds:
            data = data[socket.send_fds(self, [data], self._fds) :]
            self._fds = ()
        super().sendall(data, *arguments)

    def recv_into(self, *arguments: Any) -> int:
        """See socket.recv_into."""
        self.hurry()
        got = super().recv_into(*arguments)
        self._left -= got
        if self._left < 0:
            raise NoAnswer(f"it is longer than {ANSWER_LIMIT // MIB} MiB")
        return got


class Question:
    """A question to the server at a socket, put at once, with descriptors beside it (SCM_RIGHTS).

    Raises TimeoutError and NoAnswer, as `reply` does.
    """

    def __init__(
        self,
        path: Path,
        method: str,
        endpoint: str,
        body: dict[str, Any] | None,
        deadline: Deadline,
        fds: Sequence[int] = (),
    ) -> None:
        self._connection = http.client.HTTPConnection("localhost")
        self._connection.sock = connected = _Bounded(deadline, fds)
        kind = {} if body is None else {"Content-Type": "application/json"}
        try:
            connected.connect(str(path))
            self._connection.request(method, endpoint, None if body is None else json.dumps(body), kind)
        except TimeoutError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise NoAnswer.of(error) from error

    @property
    def is_answered(self) -> bool:
        """Whether the answer has begun."""
        return self.begins(0)

    def begins(self, seconds: float) -> bool:
        """Wait so long for the answer to begin, or less; whether it has."""
        return bool(select.select([self._connection.sock], [], [], seconds)[0])

    def reply(self) -> Reply:
        """Wait for the answer."""
        try:
            answer = self._connection.getresponse()
            return Reply(answer.status, answer.read())
        except TimeoutError:
            raise
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise NoAnswer.of(error) from error

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
