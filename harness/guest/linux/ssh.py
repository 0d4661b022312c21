"""Commands in the guest over SSH: one paramiko transport per VM, and a deadline of our own around every call.

paramiko waits for some answers without end, and none of its calls knows that the VMM died. So its blocking
calls run in a thread, which ends with the socket, while the caller looks at the guest and at the clock.
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
import threading
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from harness.deadline import Deadline, wait_until
from harness.errors import DeadlineExceeded, GuestError, HarnessError, Owner
from harness.guest.linux.command import CommandResult, RunningCommand, shown
from harness.guest.linux.keys import KEY_TYPE, Keys

if TYPE_CHECKING:
    import paramiko

T = TypeVar("T")

LOGIN_SECONDS = 15.0
NEVER = 86400.0
"""Seconds: longer than any deadline."""
COMMAND_SECONDS = 15.0
THREAD_NAME = "ssh call"
_LOOK_EVERY = 0.05
"""Seconds between two looks at the guest and its VMM while an answer is awaited."""


class Watch(Protocol):
    """Who knows whether the guest still lives; harness.guest.linux.console.Console is one."""

    def check(self, doing: str) -> None:
        """Raise if the guest or its VMM ended."""

    def evidence(self) -> str:
        """What to put behind a sentence that says what went wrong."""


class Connection:
    """An SSH connection to one guest, logged in as root."""

    def __init__(
        self,
        address: IPv4Address,
        keys: Keys,
        watch: Watch,
        *,
        port: int = 22,
        within: float | Deadline = LOGIN_SECONDS,
    ) -> None:
        """Connect and log in.

        Raises GuestError where the port is closed, where the guest refuses our key or shows another than its
        own, DeadlineExceeded where it does not answer in time, and what `watch` raises.
        """
        self._watch = watch
        where = f"{address} port {port}"
        deadline = within if isinstance(within, Deadline) else Deadline(within)

        self._socket = self._await(
            f"SSH at {where}", lambda: _connect(str(address), port, deadline), deadline
        )
        try:
            self._transport = self._await(
                f"an SSH login at {where}", lambda: _log_in(self._socket, keys, where), deadline
            )
        except BaseException:
            self._socket.close()
            raise

    def run(self, command: str, *, within: float = COMMAND_SECONDS) -> CommandResult:
        """Run a shell command in the guest and wait for its end; any exit status is an answer.

        Raises DeadlineExceeded if it does not end within that many seconds, GuestError if the connection is
        lost, and what `watch` raises if the guest or the VMM ended. Each tells the command, its output so
        far, and the watch's evidence. After a command that hung, others can be run where the guest answers.
        """
        running = RunningCommand(self._transport, command)
        try:
            return self._await(f"{shown(command)} to end", running.execute, Deadline(within), running.output)
        except HarnessError:
            running.abandon()
            raise

    def close(self) -> None:
        """Hang up, without waiting for the guest."""
        self._transport.close()
        self._socket.close()

    def _await(
        self, awaiting: str, call: Callable[[], T], deadline: Deadline, output: Callable[[], str] = lambda: ""
    ) -> T:
        outcome = _Outcome(call)
        while not outcome.done.wait(min(_LOOK_EVERY, deadline.remaining())):
            self._check(f"the suite awaited {awaiting}", output)
            if deadline.expired():
                raise DeadlineExceeded(
                    f"waited {deadline.seconds:.1f} s for {awaiting}{output()}{self._watch.evidence()}",
                    Owner.GUEST,
                )
        try:
            return outcome.value()
        except Exception as error:  # paramiko raises SSHException, EOFError, OSError, and others of its own
            self._check(f"the suite awaited {awaiting}", output)
            evidence = f"{output()}{self._watch.evidence()}"
            if isinstance(error, HarnessError):
                raise error.with_more(evidence) from error
            raise GuestError(
                f"the SSH connection was lost ({_words(error)}) while the suite awaited {awaiting}{evidence}"
            ) from error

    def _check(self, doing: str, output: Callable[[], str]) -> None:
        try:
            self._watch.check(doing)
        except HarnessError as error:
            raise error.with_more(output()) from error


def _connect(address: str, port: int, deadline: Deadline) -> socket.socket:
    """A TCP connection. While the address does not answer ARP it is tried again: the kernel gives up too soon."""
    last = ""

    def attempt() -> socket.socket | None:
        nonlocal last
        made = socket.socket()
        try:
            made.settimeout(deadline.remaining())
            made.connect((address, port))
        except OSError as error:
            made.close()
            last = error.strerror or str(error)
            if error.errno == errno.EHOSTUNREACH or isinstance(error, TimeoutError):
                return None
            raise GuestError(f"the guest takes no SSH connection at {address} port {port}: {last}") from error
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # closing forgets the connection at once: retransmissions to a VM that is gone would keep the kernel
        # looking for its address, and spoil the connection to the next VM that has it
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return made

    return wait_until(
        f"SSH at {address} port {port}",
        attempt,
        owed_by=Owner.GUEST,
        within=deadline,
        last=lambda: last,
    )


class _Outcome(Generic[T]):
    """The answer of a call that is being made in a thread."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.done = threading.Event()
        self._value: T
        self._error: BaseException | None = None

        def make() -> None:
            try:
                self._value = call()
            except BaseException as error:
                self._error = error
            self.done.set()

        threading.Thread(target=make, name=THREAD_NAME, daemon=True).start()

    def value(self) -> T:
        """The call's answer, or what it raised."""
        if self._error is not None:
            raise self._error
        return self._value


def _log_in(connected: socket.socket, keys: Keys, where: str) -> paramiko.Transport:
    import paramiko

    # Its errors come to us as exceptions; its log would repeat them on stderr.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    transport = paramiko.Transport(connected)
    # The caller's deadline is the only one: paramiko's own know no MQ_PACE, and call a slow guest one that
    # refuses the key.
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = NEVER
    try:
        transport.get_security_options().key_types = (KEY_TYPE,)
        transport.start_client()
        if transport.get_remote_server_key().asbytes() != keys.host:
            raise GuestError(
                f"{where} shows another host key than the guest's: another machine answers there"
            )
        transport.auth_publickey("root", keys.client)
    except paramiko.AuthenticationException as error:
        transport.close()
        raise GuestError(f"the guest refuses the SSH key of this run at {where}: {_words(error)}") from error
    except BaseException:
        transport.close()
        raise
    return transport


def _words(error: Exception) -> str:
    return str(error).strip() or type(error).__name__
