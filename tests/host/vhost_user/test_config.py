"""The configuration space of the NIC, for VMMs that leave it to the back end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.offer import Offer
from harness.host.vhost_user.payloads import ConfigAccess
from harness.host.vhost_user_backend import VhostUser

from .frontend import FrontEnd

MAC = "02:00:00:00:01:07"
WHOLE = bytes.fromhex("020000000107 0100 0400")
"""mac, status with the link up, max_virtqueue_pairs of 4."""


@pytest.fixture
def asking(backend: Backend, front: FrontEnd) -> FrontEnd:
    """A front end that may ask for the configuration space of the NIC with MAC."""
    backend.config.mac = MAC
    front.negotiate()
    return front


def get(front: FrontEnd, offset: int, length: int) -> bytes:
    front.send(Kind.GET_CONFIG, ConfigAccess(offset, 0, bytes(length)))
    answer = ConfigAccess.decode(front.receive().body)
    assert answer.offset == offset
    return answer.data


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 6, WHOLE[:6]),
        (8, 2, WHOLE[8:]),
        (0, 10, WHOLE),
        (9, 4, b"\0" * 4),
        (0, 256, WHOLE.ljust(256, b"\0")),
    ],
)
def test_a_part_of_it_is_told(asking: FrontEnd, offset: int, length: int, expected: bytes) -> None:
    assert get(asking, offset, length) == expected


@pytest.mark.parametrize(("offset", "length"), [(0, 257), (255, 2), (1 << 31, 1)])
def test_what_is_no_part_of_it_has_no_bytes(
    backend: Backend, asking: FrontEnd, offset: int, length: int
) -> None:
    assert get(asking, offset, length) == b""
    (finding,) = backend.take_findings()
    assert (
        finding.text
        == f"the VMM sent GET_CONFIG for {length} bytes at {offset}, outside the configuration space"
    )
    assert backend.unanswered == ""


def test_what_a_driver_writes_is_recorded_and_changes_nothing(backend: Backend, asking: FrontEnd) -> None:
    written = ConfigAccess(0, 0, b"\xff" * 6)
    assert asking.tell(Kind.SET_CONFIG, written) == 0
    assert backend.log.entries(Kind.SET_CONFIG)[0].args == written
    assert get(asking, 0, 6) == WHOLE[:6]


def test_writing_outside_is_refused(backend: Backend, asking: FrontEnd) -> None:
    assert asking.tell(Kind.SET_CONFIG, ConfigAccess(250, 0, bytes(7))) == 1
    assert "SET_CONFIG for 7 bytes at 250, outside" in backend.take_findings()[0].text


def test_asking_without_having_negotiated_it_is_no_question(backend: Backend, front: FrontEnd) -> None:
    front.negotiate(protocol=1 << 3)
    front.send(Kind.GET_CONFIG, ConfigAccess(0, 0, bytes(6)))
    with pytest.raises(ConnectionError):
        front.receive()
    assert "without having negotiated the protocol feature CONFIG" in backend.take_findings()[0].text


def test_address_of_a_nic_outlasts_its_back_end(
    folder: Path, connect_to: Callable[[VhostUser], FrontEnd]
) -> None:
    port = VhostUser(folder, 2, Offer(2))
    port.set_mac(MAC)
    for _ in range(2):
        front = connect_to(port)
        front.negotiate()
        assert get(front, 0, 10) == WHOLE[:8] + b"\2\0"
        front.close()
        port.stop()
        port.start()
    port.close()


@pytest.fixture
def connect_to() -> Callable[[VhostUser], FrontEnd]:
    return lambda port: FrontEnd.connect(port.attachment.path, 2)
