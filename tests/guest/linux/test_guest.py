import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import DeadlineExceeded, GuestError
from harness.guest.linux import guest as module
from harness.guest.linux.command import CommandResult
from harness.guest.linux.console import GuestRebooted
from harness.guest.linux.ethtool import Channels
from harness.guest.linux.frames import Frames
from harness.guest.linux.guest import LinuxGuest, Refused, Unbound
from harness.guest.linux.kernel import QueueInterrupts
from harness.guest.linux.keys import Keys
from harness.guest.linux.pktgen import Datagram
from harness.vmm.base import NicConfig, TapByName, VmConfig
from harness.vmm.serial import SerialPort

MAC = "52:54:00:00:00:01"


class FakeConnection:
    """Answers commands from a table of what they print; a number is an exit status, an error is raised."""

    def __init__(self) -> None:
        self.answers: dict[str, str | int | GuestError] = {}
        self.asked: list[str] = []
        self.closed = False

    def run(self, command: str, *, within: float) -> CommandResult:
        self.asked.append(command)
        answer = self.answers.get(command, "")
        if isinstance(answer, GuestError):
            raise answer
        status = answer if isinstance(answer, int) else 0
        return CommandResult(
            command, status, answer if isinstance(answer, str) else "", "refused" * bool(status)
        )

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[FakeConnection]:
    """The connections that were made, in order."""
    made: list[FakeConnection] = []

    def connect(address: IPv4Address, *_: object) -> FakeConnection:
        assert address == IPv4Address("10.99.0.2")
        made.append(FakeConnection())
        return made[-1]

    monkeypatch.setattr(module, "Connection", connect)
    return made


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def vm(line: tuple[socket.socket, socket.socket]) -> Any:
    """As much of a VM as a guest looks at."""
    nics = (
        NicConfig("net0", MAC, 4, TapByName("tap0")),
        NicConfig("mgmt", "02:6d:0a:63:00:02", 1, TapByName("m")),
    )
    return SimpleNamespace(
        config=VmConfig(None, nics),
        serial=SerialPort(line[0], lambda _: None),
        check_alive=lambda _: None,
        process=SimpleNamespace(tail=lambda: "last words"),
    )


@pytest.fixture
def guest(vm: Any, keys: Keys, connections: list[FakeConnection]) -> LinuxGuest:
    return LinuxGuest(vm, keys)


@pytest.fixture
def connection(guest: LinuxGuest, connections: list[FakeConnection]) -> FakeConnection:
    return connections[0]


def statistics(*packets: int) -> str:
    return "".join(
        f"     {side}{queue}_packets: {n}\n" for side in ("rx", "tx") for queue, n in enumerate(packets)
    )


def test_a_refusal_carries_the_guests_words_and_the_evidence(
    guest: LinuxGuest, connection: FakeConnection
) -> None:
    connection.answers["ethtool -L net0 combined 5"] = 1
    with pytest.raises(
        Refused, match=r"(?s)`ethtool -L net0 combined 5` ended with status 1: refused.*last words"
    ) as it:
        guest.set_channels("net0", 5)
    assert it.value.result.status == 1
    guest.set_channels("net0", 4)


def test_channels_come_from_ethtool(guest: LinuxGuest, connection: FakeConnection) -> None:
    connection.answers["ethtool -l net0"] = "Combined:\t4\nCombined:\t3\n"
    assert guest.channels("net0") == Channels(4, 3)


@pytest.mark.parametrize(("status", "program"), [(0, "queue-stats"), (1, "ethtool -S"), (127, "ethtool -S")])
def test_frames_are_read_by_queue_and_in_total_as_the_kernel_tells_them(
    guest: LinuxGuest, connection: FakeConnection, status: int, program: str
) -> None:
    total = "cat /sys/class/net/net0/statistics/rx_packets"
    connection.answers["queue-stats net0"] = status
    connection.answers[f"{program} net0 && echo ---- && {total}"] = f"{statistics(3, 4)}----\n9\n"
    assert guest.received("net0") == guest.received("net0") == Frames((3, 4), 9)
    assert connection.asked.count("queue-stats net0") == 1


def test_frames_that_do_not_come_are_told_with_those_that_did(
    guest: LinuxGuest, connection: FakeConnection
) -> None:
    connection.answers["cat /sys/class/net/net0/statistics/rx_packets"] = "7\n"
    guest.await_received("net0", 7)
    with pytest.raises(
        DeadlineExceeded, match="net0 in the guest to count 8 received frames; last seen: 7 frames"
    ):
        guest.await_received("net0", 8, within=0.02)


def test_interrupts_are_those_of_the_interfaces_device(guest: LinuxGuest, connection: FakeConnection) -> None:
    rows = (
        " 26:   17   1   PCI-MSI 1-edge   virtio3-input.0\n 27:   5   0   PCI-MSI 2-edge   virtio1-input.0\n"
    )
    command = "readlink /sys/class/net/net0/device && echo ---- && cat /proc/interrupts"
    connection.answers[command] = f"../../../virtio3\n----\n{rows}"
    assert guest.interrupts("net0") == QueueInterrupts((18,), ())


def test_a_driver_is_taken_off_and_given_back_to_the_same_device(
    guest: LinuxGuest, connection: FakeConnection
) -> None:
    folder, driver = "/sys/class/net/net0", "/sys/bus/virtio/drivers/virtio_net"
    connection.answers[f"readlink {folder}/device && echo ---- && cat {folder}/address"] = (
        f"../../../virtio3\n----\n{MAC}\n"
    )
    unbound = guest.unbind("net0")
    assert unbound == Unbound("virtio3", "net0", MAC)
    guest.bind(unbound)
    assert connection.asked[1:] == [
        f"echo virtio3 > {driver}/unbind",
        f"echo virtio3 > {driver}/bind",
        f". /lib/nics.sh; name_nic net0 {MAC}",
    ]


def test_complaints_are_warnings_after_the_mark_less_those_of_a_slow_host(
    guest: LinuxGuest, connection: FakeConnection
) -> None:
    mark = guest.mark_log()
    assert connection.asked == [f"echo '<6>{mark}' > /dev/kmsg"]
    connection.answers["dmesg -r"] = (
        f"<3>[ 1.0] before\n<6>[ 2.0] {mark}\n<6>[ 3.0] fine\n"
        "<4>[ 4.0] hrtimer: interrupt took 33329100 ns\n<4>[ 5.0] virtio_net: bad gso\n"
    )
    assert guest.complaints(mark) == ["virtio_net: bad gso"]
    assert guest.complaints() == ["before", "virtio_net: bad gso"]


def test_a_transmission_that_pktgen_did_not_finish_is_an_error(
    guest: LinuxGuest, connection: FakeConnection
) -> None:
    there, ours = IPv4Address("10.9.0.2"), IPv4Address("10.9.0.1")
    datagrams = [Datagram("02:00:00:00:00:01", there, 7, ours, port) for port in (9, 10)]
    with pytest.raises(GuestError, match="pktgen did not send 3 frames of 2 flows on queue 2"):
        guest.transmit("net0", datagrams, queue=2, frames=3)
    connection.answers[connection.asked[0]] = "Result: OK: 100(c1+d99) usec, 3 (60byte,0frags)\n"
    with pytest.raises(GuestError, match="pktgen did not send 3 frames of 2 flows on queue 2: Result: OK"):
        guest.transmit("net0", datagrams, queue=2, frames=3)
    connection.answers[connection.asked[0]] = "Result: OK: 100(c1+d99) usec, 3 (60byte,0frags)\n" * 2
    guest.transmit("net0", datagrams, queue=2, frames=3)


def test_after_a_reboot_the_guest_is_logged_into_anew(
    guest: LinuxGuest, connections: list[FakeConnection], line: tuple[socket.socket, socket.socket]
) -> None:
    connections[0].answers["reboot -f"] = GuestRebooted("the guest rebooted")
    line[1].sendall(b"guest init\nguest ready: again\n")
    guest.reboot(within=1)
    guest.run("true")
    assert connections[0].closed
    assert connections[1].asked == ["true"]


def test_a_guest_that_does_not_boot_is_not_logged_into(
    vm: Any, keys: Keys, connections: list[FakeConnection]
) -> None:
    with pytest.raises(DeadlineExceeded, match="for the Linux guest to boot"):
        LinuxGuest.boot(vm, keys, within=0.05)
    assert connections == []
