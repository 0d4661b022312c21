"""One command over an SSH channel: how it ended, and what it had said if it did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.bounded import MIB
from harness.errors import GuestError

if TYPE_CHECKING:
    import paramiko

SHOWN = 1 << 16
"""Bytes of what a command said that a message shows."""
_WINDOW = 1 << 26
"""Bytes that a command may say on stderr before stdout ends: the server sends no more than this unread."""


OUTPUT_LIMIT = 16 * MIB
"""Bytes that a command may say, in each of its two ways."""


SHOWN = 120
"""Characters of a command in messages."""


def shown(command: str) -> str:
    """A command as messages show it: one line, the beginning of a long one."""
    words = "; ".join(line.strip() for line in command.splitlines() if line.strip())
    return f"`{words if len(words) <= SHOWN else words[:SHOWN] + '…'}`"


@dataclass(frozen=True)
class CommandResult:
    """How a command ended. `status` is the shell's; -1 if a signal killed the command."""

    command: str
    status: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether the command succeeded."""
        return self.status == 0

    def __str__(self) -> str:
        said = [text.strip() for text in (self.stdout, self.stderr) if text.strip()]
        return f"{shown(self.command)} ended with status {self.status}: " + ("\n".join(said) or "(no output)")


class RunningCommand:
    """A command on a channel of its own. `execute` blocks, for as long as it takes; the rest never does."""

    def __init__(self, transport: paramiko.Transport, command: str) -> None:
        self._transport = transport
        self._command = command
        self._channel: paramiko.Channel | None = None
        self._stdout = bytearray()
        self._stderr = bytearray()

    def execute(self) -> CommandResult:
        """Start the command and read all that it says. Raises paramiko's errors if the connection ends."""
        self._channel = channel = self._transport.open_session(window_size=_WINDOW)
        channel.exec_command(self._command)
        channel.shutdown_write()  # a command that reads its standard input finds it empty
        for said, receive in ((self._stdout, channel.recv), (self._stderr, channel.recv_stderr)):
            while data := receive(65536):
                said += data
                if len(said) > OUTPUT_LIMIT:
                    raise GuestError(f"{shown(self._command)} said more than {OUTPUT_LIMIT // MIB} MiB")
        status = channel.recv_exit_status()
        if status < 0:
            # so it is after a signal, and so it is when the connection ends; in the latter case this raises
            self._transport.open_session().close()
        return CommandResult(self._command, status, _text(self._stdout), _text(self._stderr))

    def output(self) -> str:
        """What it said so far, for messages."""
        if self._channel is None:
            return "\n--- it was not started: the guest's SSH server did not answer"
        while self._channel.recv_stderr_ready():
            self._stderr += self._channel.recv_stderr(65536)
        return (
            f"\n--- its output so far:\n{_text((self._stdout + self._stderr)[-SHOWN:]).strip() or '(none)'}"
        )

    def abandon(self) -> None:
        """Make `execute` return. Where not even a channel was opened, the connection is given up too."""
        if self._channel is None:
            self._transport.close()
        else:
            self._channel.close()


def _text(data: bytes | bytearray) -> str:
    return data.decode(errors="replace")
