"""A proxy between any VMM and any back end: passes messages and descriptors, records both ways, alters by rules."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from harness.deadline import Deadline
from harness.errors import HarnessError
from harness.host.vhost_user.endpoints import Endpoint, Listen
from harness.host.vhost_user.log import Entry, Event, MessageLog, Sender
from harness.host.vhost_user.loop import Loop
from harness.host.vhost_user.messages import Kind, decode, kind_of, replies
from harness.host.vhost_user.payloads import U64, Malformed, Opaque, Payload, VringState
from harness.host.vhost_user.peer import Peer
from harness.host.vhost_user.rules import Rule, Verdict
from harness.host.vhost_user.wire import ConnectionLost, Message, acknowledgement

T = TypeVar("T")


class Proxy:
    """Stands between a VMM and a back end, each of which may listen or connect.

    `vmm` and `backend` say how each is reached: `Listen` where it connects to the proxy, `Connect` where it
    listens itself. The side that connects to the proxy comes first; only then is the other connected to. When
    either is lost the other is dropped too, and both are awaited anew.
    The first rule that concerns a message decides on it. Messages on a channel of their own that the two set up
    (SET_BACKEND_REQ_FD) pass outside the proxy. Raises BadInput if a path cannot serve.
    """

    def __init__(self, vmm: Endpoint, backend: Endpoint, rules: Iterable[Rule] = ()) -> None:
        self.rules = list(rules)
        self.connections = 0
        """How often both sides were connected; the present connection's number."""
        self._closed = False
        self._late: list[Message] = []
        self._asked: dict[int, Entry] = {}
        self._loop = Loop(f"vhost-user proxy {vmm.path.name}", self._end)
        self._vmm, self._backend = Peer(vmm, self._loop), Peer(backend, self._loop)
        sides = {Sender.BACKEND: self._backend, Sender.VMM: self._vmm}
        self._sides = dict(sorted(sides.items(), key=lambda side: not isinstance(side[1].endpoint, Listen)))
        self.log = MessageLog(self._loop.changed)
        try:
            for side in self._sides.values():
                side.endpoint.open()
        except BaseException:
            self._loop.stop()
            self._end()
            raise
        self._await()
        self._loop.start()

    @property
    def connected(self) -> bool:
        """Whether both sides are connected."""
        return self._vmm.connected and self._backend.connected

    def wait(self, reason: str, predicate: Callable[[Proxy], T], *, within: float | Deadline) -> T:
        """Wait until `predicate(self)` answers something true, and return that. Raises DeadlineExceeded."""
        return self._loop.wait(reason, lambda: predicate(self), within, self.describe)

    def catch_up(self) -> None:
        """Handle what the VMM has sent up to now: not every VMM waits until its messages are handled."""
        handled = -1
        with self._loop.changed:
            while handled < len(self.log) and self.connected:
                handled = len(self.log)
                self._read(Sender.VMM)
            self._loop.changed.notify_all()

    def mark(self) -> int:
        """The present end of the log, for `since`."""
        return self.log.mark()

    def describe(self) -> str:
        """One line on the present state, for messages to people."""
        with self._loop.changed:
            last = self.log.entries()[-1:]
            sides = (
                f"{name.value} {'connected' if side.connected else side.endpoint.last_attempt}"
                for name, side in self._sides.items()
            )
            return f"{'; '.join(sides)}; last message {last[0] if last else 'none'}"

    @property
    def failure(self) -> str:
        """What ended its thread before its time; empty if nothing did."""
        return self._loop.failure or ""

    def check(self) -> None:
        """Raise HarnessError if the proxy itself failed."""
        if self._loop.failure:
            raise HarnessError(f"the vhost-user proxy failed: {self._loop.failure}")

    def close(self) -> None:
        """End both connections and leave nothing behind. May be called twice."""
        self._loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if kind is None:
            self.check()

    # Connections

    def _await(self) -> None:
        """Wait for whichever side is missing first."""
        for side in self._sides.values():
            if not side.connected:
                side.await_connection(partial(self._begin, side))
                return
        self.connections += 1
        self._note(Event.CONNECTED)
        self._vmm.watch(partial(self._read, Sender.VMM))

    def _begin(self, side: Peer) -> None:
        if side is self._backend:
            side.watch(partial(self._read, Sender.BACKEND))
        self._await()

    def _read(self, sender: Sender) -> None:
        handle = self._from_vmm if sender is Sender.VMM else self._from_backend
        try:
            for message in self._sides[sender].messages():
                try:
                    handle(message)
                finally:
                    message.close()
        except (ConnectionLost, Malformed) as error:
            self._lose(f"{error}, noticed on the side of the {sender.value}")

    def _lose(self, why: str) -> None:
        self._note(Event.LOST, why)
        for side in self._sides.values():
            side.drop()
            side.endpoint.last_attempt = f"not connected since the last connection ended ({why})"
        self._forget()
        if not self._closed:
            self._await()

    def _end(self) -> None:
        self._closed = True
        # Listeners first: who reconnects at once must not end up in the queue of one that goes too.
        for side in self._sides.values():
            side.endpoint.close()
        for side in self._sides.values():
            side.drop()
        self._forget()

    def _forget(self) -> None:
        """Nothing of a connection that is gone may reach the next."""
        for rule in self.rules:
            rule.restart()
        for message in self._late:
            message.close()
        self._late.clear()
        self._asked.clear()

    def _note(self, event: Event, text: str | None = None) -> None:
        self.log.add(lambda number: Entry(number, time.monotonic(), self.connections, event, args=text))

    # Messages

    def _record(self, message: Message, sender: Sender, payload: Payload) -> Entry:
        return self.log.add(
            lambda number: Entry(
                number,
                time.monotonic(),
                self.connections,
                kind_of(message.kind),
                sender,
                ring=payload.ring,
                value=payload.value,
                args=payload,
                fds=len(message.fds),
                need_reply=message.need_reply,
            )
        )

    def _from_vmm(self, message: Message) -> None:
        entry = self._record(message, Sender.VMM, _request_payload(message))
        self._asked[message.kind] = entry
        for rule in self.rules:
            if verdict := rule.apply(entry, message):
                entry.fault = str(rule)
                self._execute(verdict, message, entry)
                return
        self._pass(message)
        entry.seconds = time.monotonic() - entry.time

    def _execute(self, verdict: Verdict, message: Message, entry: Entry) -> None:
        if verdict.forward is not None:
            self._pass_instead(verdict.forward)
        elif (entry.need_reply or replies(message.kind)) and self._vmm.connected:
            self._vmm.send(acknowledgement(message.kind, verdict.answer))
            entry.reply = verdict.answer
        entry.seconds = time.monotonic() - entry.time
        for delay, extra in verdict.extra:
            if delay:
                self._late.append(extra)
                self._loop.later(delay, partial(self._deliver, extra))
            else:
                self._pass_instead(extra)
                extra.close()

    def _deliver(self, message: Message) -> None:
        """Send a message whose time has come, unless its connection is gone."""
        if message not in self._late:
            return
        self._late.remove(message)
        try:
            self._pass_instead(message)
        except ConnectionLost as error:
            self._lose(str(error))
        finally:
            message.close()

    def _pass_instead(self, message: Message) -> None:
        self._record(message, Sender.PROXY, _request_payload(message))
        self._pass(message)

    def _pass(self, message: Message) -> None:
        try:
            self._backend.send(message)
        except ConnectionLost as error:
            raise ConnectionLost(f"{error} on the back end's side") from None

    def _from_backend(self, message: Message) -> None:
        if not self._vmm.connected:
            raise ConnectionLost("it spoke before it was asked")
        payload = _reply_payload(message)
        self._record(message, Sender.BACKEND, payload)
        if asked := self._asked.pop(message.kind, None):
            asked.reply = payload.value
        self._vmm.send(message)


def _request_payload(message: Message) -> Payload:
    try:
        return decode(kind_of(message.kind), message.body)
    except Malformed:
        return Opaque(message.body)


def _reply_payload(message: Message) -> Payload:
    try:
        if message.kind == Kind.GET_VRING_BASE:
            return VringState.decode(message.body)
        return U64.decode(message.body)
    except Malformed:
        return Opaque(message.body)
