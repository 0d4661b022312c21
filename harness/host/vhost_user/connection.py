"""The back end's connection to the VMM: made, served, faulted, lost, and made again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from harness.host.vhost_user.device import Device
from harness.host.vhost_user.endpoints import Endpoint
from harness.host.vhost_user.faults import CloseOn, Delay, Fault, NeverAnswer, Refuse
from harness.host.vhost_user.features import ProtocolFeature, has
from harness.host.vhost_user.log import Entry, Event, MessageLog
from harness.host.vhost_user.loop import Loop
from harness.host.vhost_user.messages import Kind, decode, kind_of, replies
from harness.host.vhost_user.net_config import NetConfig
from harness.host.vhost_user.offer import Offer
from harness.host.vhost_user.payloads import Malformed, Payload
from harness.host.vhost_user.peer import Peer
from harness.host.vhost_user.ring import Counters, Ring
from harness.host.vhost_user.wire import (
    REPLY,
    VERSION,
    VERSION_BITS,
    ConnectionLost,
    Message,
    acknowledgement,
    reply,
)


@dataclass(frozen=True)
class Finding:
    """Something that the VMM or the guest did against the protocol."""

    time: float
    """Seconds of time.monotonic()."""
    connection: int
    text: str


class Connection:
    """At most one connection at a time; a further VMM that connects waits until the present one is gone.

    Everything here runs in the loop's thread, or with its lock held.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        offer: Offer,
        config: NetConfig,
        loop: Loop,
        counters: Sequence[Counters],
        kicked: Callable[[Device, Ring], None],
    ) -> None:
        self._peer = Peer(endpoint, loop)
        self.log = MessageLog(loop.changed)
        self.findings: list[Finding] = []
        self.unanswered = ""
        """The first message that may have left the VMM waiting: all that it does then follows from that."""
        self.faults: list[Fault] = []
        self.count = 0
        """Connections so far; the present one's number."""
        self._new_device = partial(Device, offer, config, counters, loop, kicked, self.report)
        self.device = self._new_device()
        self._loop = loop
        self._held: Message | None = None
        self._closed = False

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._peer.connected

    def open(self) -> None:
        """Get ready for the first connection. Raises BadInput where the path cannot serve."""
        self._peer.endpoint.open()
        self._peer.await_connection(self._begin)

    def close(self) -> None:
        """Give back everything."""
        self._closed = True
        # First: a VMM that reconnects at once must not end up in the queue of a listener that goes too.
        self._peer.endpoint.close()
        self.lose("closed by the back end, which ends")
        self._peer.drop()
        self.device.close()

    def catch_up(self) -> None:
        """Handle at once what the VMM has sent so far, unless a fault holds it back."""
        handled = -1
        while self.connected and not self._held and handled < len(self.log):
            handled = len(self.log)
            self._guard(self._read)

    def report(self, text: str) -> None:
        """Record a finding: a whole clause, such as "the VMM sent ..."."""
        self.findings.append(Finding(time.monotonic(), self.count, text))

    def lose(self, why: str) -> None:
        """End the connection from this side or because the other did, and wait for the next."""
        if not self.connected:
            return
        self._note(Event.LOST, why)
        self._peer.drop()
        if self._held:
            self._held.close()
            self._held = None
        self.device.close()
        self._peer.endpoint.last_attempt = f"the last connection was {why}"
        if not self._closed:
            self._peer.await_connection(self._begin)

    def _begin(self) -> None:
        self.count += 1
        self.device.close()
        self.device = self._new_device()
        self._note(Event.CONNECTED)
        self._peer.watch(lambda: self._guard(self._read))

    def _note(self, event: Event, text: str | None = None) -> None:
        self.log.add(lambda number: Entry(number, time.monotonic(), self.count, event, args=text))

    def _guard(self, action: Callable[[], None]) -> None:
        """Run what may meet the end of the connection."""
        try:
            action()
        except ConnectionLost as error:
            self.lose(str(error))
        except Malformed as error:
            self.report(f"the VMM sent {error}")
            self.lose("closed by the back end, which cannot read on")

    def _read(self) -> None:
        if self._held:
            # While a message is delayed only hang-ups are watched for.
            raise ConnectionLost("closed")
        for message in self._peer.messages():
            self._receive(message)
            if self._held:
                return

    def _receive(self, message: Message) -> None:
        arrived = time.monotonic()
        kind = kind_of(message.kind)
        payload: Payload | None = None
        problem = None
        try:
            payload = decode(kind, message.body)
        except Malformed as error:
            problem = str(error)
        if message.flags & VERSION_BITS != VERSION or message.flags & REPLY:
            problem = f"a message with the flags {message.flags:#x}, which no request has"
        entry = self.log.add(
            lambda number: Entry(
                number,
                arrived,
                self.count,
                kind,
                ring=payload.ring if payload else None,
                value=payload.value if payload else None,
                args=payload,
                fds=len(message.fds),
                need_reply=message.need_reply,
            )
        )
        struck = [fault for fault in self.faults if fault.strikes(entry)]
        if payload is None or problem:
            self._decline(message, entry, problem or "")
        elif struck:
            entry.fault = str(struck[0])
            self._misbehave(struck[0], message, payload, entry)
        else:
            self._handle(message, payload, entry)

    def _misbehave(self, fault: Fault, message: Message, payload: Payload, entry: Entry) -> None:
        match fault:
            case Delay():
                self._hold(fault.delay, message, payload, entry)
            case Refuse():
                message.close()
                self._acknowledge(message, entry, fault.answer)
            case NeverAnswer():
                message.close()
            case CloseOn():
                message.close()
                self.lose(f"closed by the back end: {fault}")

    def _hold(self, seconds: float, message: Message, payload: Payload, entry: Entry) -> None:
        self._held = message
        self._peer.listen(False)

        def release() -> None:
            if self._held is message:
                self._held = None
                self._peer.listen(True)
                self._guard(lambda: self._handle(message, payload, entry))

        self._loop.later(seconds, release)

    def _handle(self, message: Message, payload: Payload, entry: Entry) -> None:
        try:
            answer = self.device.handle(message, payload)
        except Malformed as error:
            self._decline(message, entry, str(error))
            return
        finally:
            message.close()
        if answer is None:
            self._acknowledge(message, entry, 0)
        else:
            entry.reply = answer.value
            self._send(reply(message.kind, answer.encode()), entry)

    def _decline(self, message: Message, entry: Entry, problem: str) -> None:
        message.close()
        self.report(f"the VMM sent {problem}")
        if replies(message.kind):
            self._leave_unanswered(problem)
            self.lose(f"closed by the back end, which has no answer to {entry.name}")
            return
        if not isinstance(kind_of(message.kind), Kind) and not message.need_reply:
            self._leave_unanswered(problem)  # it may be a question
        self._acknowledge(message, entry, 1)

    def _leave_unanswered(self, sent: str) -> None:
        self.unanswered = self.unanswered or f"the VMM sent {sent}, and got no answer from the back end"

    def _acknowledge(self, message: Message, entry: Entry, answer: int) -> None:
        if not message.need_reply:
            entry.seconds = time.monotonic() - entry.time
        elif has(self.device.protocol, ProtocolFeature.REPLY_ACK):
            entry.reply = answer
            self._send(acknowledgement(message.kind, answer), entry)
        else:
            self.report(f"the VMM asked for a reply to {entry.name} without having negotiated REPLY_ACK")
            self._leave_unanswered(f"{entry.name} with need_reply, without having negotiated REPLY_ACK")

    def _send(self, answer: Message, entry: Entry) -> None:
        if self.connected:
            self._peer.send(answer)
            entry.seconds = time.monotonic() - entry.time
