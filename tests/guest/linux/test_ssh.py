import errno
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from harness.deadline import PACE
from harness.errors import DeadlineExceeded, GuestError, VmmDied
from harness.guest.linux import ssh
from harness.guest.linux.keys import Keys, make_keys
from harness.guest.linux.ssh import NEVER, Connection

Serve = Callable[..., int]
LOCALHOST = IPv4Address("127.0.0.1")


@dataclass
class FakeWatch:
    """A guest that lives until it is told otherwise, after a number of looks at it."""

    dies_after: int = 1 << 30

    def check(self, doing: str) -> None:
        self.dies_after -= 1
        if self.dies_after < 0:
            raise VmmDied(f"the VMM died while {doing}")

    def evidence(self) -> str:
        return "\n--- console:\nlogin prompt"


@pytest.fixture
def watch() -> FakeWatch:
    return FakeWatch()


@pytest.fixture
def connection(serve: Serve, keys: Keys, watch: FakeWatch) -> Iterator[Connection]:
    with closing(Connection(LOCALHOST, keys, watch, port=serve())) as connected:
        yield connected


def test_a_command_answers_with_its_status_and_both_its_outputs(connection: Connection) -> None:
    result = connection.run("hello")
    assert (result.status, result.stdout, result.stderr) == (3, "hello\n", "a warning\n")
    assert not result.ok
    assert str(result) == "`hello` ended with status 3: hello\na warning"


def test_output_beyond_what_ssh_sends_unread_does_not_stall(connection: Connection) -> None:
    result = connection.run("much")
    assert (len(result.stdout), len(result.stderr)) == (3_000_000, 3_000_000)


def test_a_command_that_hangs_ends_at_its_deadline_and_tells_its_output(connection: Connection) -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        connection.run("hang", within=0.3)
    assert str(caught.value) == (
        f"waited {0.3 * PACE:.1f} s for `hang` to end\n"
        "--- its output so far:\nstarted\nsomething odd\n--- console:\nlogin prompt"
    )
    assert connection.run("hello").stdout == "hello\n"


def test_a_command_that_the_server_never_starts_ends_at_its_deadline(connection: Connection) -> None:
    with pytest.raises(DeadlineExceeded, match=rf"waited {0.3 * PACE:.1f} s for `no answer` to end"):
        connection.run("no answer", within=0.3)


def test_a_connection_that_dies_tells_the_command_and_its_output(connection: Connection) -> None:
    with pytest.raises(
        GuestError, match=r"(?s)connection was lost .* `die` to end\n.*last words\n.*login prompt"
    ):
        connection.run("die")
    with pytest.raises(GuestError, match="the SSH connection was lost"):
        connection.run("hello")


def test_a_command_killed_by_a_signal_is_no_lost_connection(connection: Connection) -> None:
    assert connection.run("killed").status == -1


def test_a_vmm_that_dies_ends_the_wait_long_before_the_deadline(
    connection: Connection, watch: FakeWatch
) -> None:
    watch.dies_after = 2
    with pytest.raises(VmmDied, match=r"(?s)the VMM died while the suite awaited `hang` to end.*started"):
        connection.run("hang", within=30)


def test_a_closed_port_is_told_at_once(keys: Keys, watch: FakeWatch) -> None:
    with socket.create_server((str(LOCALHOST), 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(
        GuestError, match=rf"takes no SSH connection at 127.0.0.1 port {port}: Connection refused"
    ):
        Connection(LOCALHOST, keys, watch, port=port)


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the kernel is still to say that the guest's address does not answer ARP."""
    left = [0]

    class Socket(socket.socket):
        def connect(self, address: Any) -> None:
            if left[0]:
                left[0] -= 1
                raise OSError(errno.EHOSTUNREACH, "No route to host")
            super().connect(address)

    monkeypatch.setattr(socket, "socket", Socket)
    return left


def test_an_address_that_answers_late_is_tried_again(
    serve: Serve, keys: Keys, watch: FakeWatch, unreachable: list[int]
) -> None:
    port = serve()
    unreachable[0] = 3
    with closing(Connection(LOCALHOST, keys, watch, port=port)) as connection:
        assert connection.run("hello").stdout == "hello\n"
    assert unreachable == [0]


def test_an_address_that_never_answers_ends_at_the_deadline(
    keys: Keys, watch: FakeWatch, unreachable: list[int]
) -> None:
    unreachable[0] = 1 << 30
    with pytest.raises(
        DeadlineExceeded, match=rf"(?s)waited {0.2 * PACE:.1f} s for SSH at 127.0.0.1 port 22.*login prompt"
    ):
        Connection(LOCALHOST, keys, watch, within=0.2)


def test_nothing_is_sent_to_a_guest_after_the_connection_was_closed(keys: Keys, watch: FakeWatch) -> None:
    with socket.create_server((str(LOCALHOST), 0)) as listener:
        with pytest.raises(DeadlineExceeded):
            Connection(LOCALHOST, keys, watch, port=listener.getsockname()[1], within=0.2)
        accepted, _ = listener.accept()
        # read to the end it would be a connection that was closed in the common way, with farewells to be repeated
        with accepted, pytest.raises(ConnectionResetError):
            list(iter(lambda: accepted.recv(4096), b""))


def test_a_server_that_says_nothing_ends_at_the_deadline(serve: Serve, keys: Keys, watch: FakeWatch) -> None:
    port = serve(mute=True)
    with pytest.raises(
        DeadlineExceeded, match=rf"waited {0.3 * PACE:.1f} s for an SSH login at 127.0.0.1 port {port}"
    ):
        Connection(LOCALHOST, keys, watch, port=port, within=0.3)


def test_a_guest_that_refuses_our_key_is_told(serve: Serve, keys: Keys, watch: FakeWatch) -> None:
    port = serve()
    other = replace(keys, client=make_keys().client)
    with pytest.raises(GuestError, match="the guest refuses the SSH key of this run"):
        Connection(LOCALHOST, other, watch, port=port)


def test_another_host_key_is_no_guest_of_ours(serve: Serve, keys: Keys, watch: FakeWatch) -> None:
    port = serve()
    with pytest.raises(GuestError, match="shows another host key than the guest's"):
        Connection(LOCALHOST, replace(keys, host=b"other"), watch, port=port)


def call_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == ssh.THREAD_NAME]


def test_no_thread_is_left_waiting_for_a_command_that_hung(connection: Connection) -> None:
    with pytest.raises(DeadlineExceeded):
        connection.run("hang", within=0.1)
    for thread in call_threads():
        thread.join(5 * PACE)
    assert call_threads() == []


def test_no_thread_outlives_a_connection_that_was_closed(connection: Connection) -> None:
    with pytest.raises(DeadlineExceeded):
        connection.run("no answer", within=0.1)
    connection.close()
    for thread in call_threads():
        thread.join(5 * PACE)
    assert call_threads() == []


def test_a_slow_login_is_bounded_by_our_deadline_alone(connection: Connection) -> None:
    own = connection._transport
    assert {own.banner_timeout, own.handshake_timeout, own.auth_timeout} == {NEVER}
