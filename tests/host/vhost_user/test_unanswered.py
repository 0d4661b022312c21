"""A message that may have left the VMM waiting is remembered: it is why the VMM does what it does then."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.offer import Offer
from harness.host.vhost_user.payloads import Opaque, VringState
from harness.host.vhost_user.wire import request
from harness.host.vhost_user_backend import VhostUser

from .frontend import FrontEnd

WAITS: list[tuple[int, bytes, str]] = [
    (99, b"", "a message of the unknown kind 99"),
    (
        Kind.GET_INFLIGHT_FD,
        b"",
        "GET_INFLIGHT_FD without having negotiated the protocol feature INFLIGHT_SHMFD",
    ),
    (Kind.IOTLB_MSG, b"", "IOTLB_MSG, which this back end does not serve"),
    (Kind.GET_VRING_BASE, b"1", "GET_VRING_BASE with a body of 1 bytes where 8 belong"),
    (Kind.GET_VRING_BASE, bytes([9, 0, 0, 0] * 2), "GET_VRING_BASE for vring 9 where the back end has 8"),
    (Kind.GET_CONFIG, bytes(8), "GET_CONFIG with a body of 8 bytes for 0 bytes of configuration space"),
]


@pytest.mark.parametrize(("kind", "body", "sent"), WAITS)
def test_question_without_an_answer(
    backend: Backend, running: FrontEnd, kind: int, body: bytes, sent: str
) -> None:
    running.send_raw(request(kind, body))
    told = f"the VMM sent {sent}, and got no answer from the back end"
    backend.wait("the message", lambda b: b.unanswered, within=2)
    assert backend.unanswered == told
    backend.take_findings()


def test_reply_that_was_asked_for_out_of_turn(backend: Backend, front: FrontEnd) -> None:
    front.send_raw(request(Kind.SET_OWNER, need_reply=True))
    front.ask(Kind.GET_FEATURES)
    assert backend.unanswered.startswith("the VMM sent SET_OWNER with need_reply, without having negotiated")
    backend.take_findings()


def test_answered_refusals_leave_nobody_waiting(backend: Backend, running: FrontEnd) -> None:
    assert running.enable(8) == 1
    assert running.tell(99, Opaque(b"?")) == 1
    running.need_reply = False
    running.tell(Kind.SET_VRING_NUM, VringState(8, 1))
    running.ask(Kind.GET_FEATURES)
    assert len(backend.take_findings()) == 3
    assert backend.unanswered == ""


def test_the_first_is_remembered_beyond_the_back_end(folder: Path) -> None:
    port = VhostUser(folder, 1, Offer(1))
    assert port.unanswered() == ""
    for kind in (98, 99):
        front = FrontEnd.connect(port.attachment.path, 1)
        front.send_raw(request(kind))
        front.ask(Kind.GET_FEATURES)
        front.close()
        assert port.end.take_findings()
        port.stop()
        port.start()
    assert "unknown kind 98" in port.unanswered()
    port.close()
