"""What the messages about enabling change: a log is followed, and repetitions are left out."""

from __future__ import annotations

from harness.host.changes import Change, ConnectionChanged, VringsSwitched
from harness.host.vhost_user.log import Entry, Event, MessageLog
from harness.host.vhost_user.messages import Kind


class Follower:
    """Follows a log from its beginning."""

    def __init__(self, log: MessageLog) -> None:
        self._log = log
        self._mark = 0
        self._enabled: set[int] = set()

    def changes(self) -> list[Change]:
        """What changed since the last call; vrings that were switched one after the other are told together."""
        entries = self._log.entries(since=self._mark)
        self._mark += len(entries)
        found: list[Change] = []
        for entry in entries:
            if isinstance(entry.kind, Event):
                self._enabled.clear()
                found.append(ConnectionChanged(entry.kind, str(entry.args or "")))
            elif (
                entry.kind is Kind.SET_VRING_ENABLE
                and entry.ring is not None
                and self._moves(entry, entry.ring)
            ):
                switched = VringsSwitched((entry.ring,), bool(entry.value))
                before = found[-1] if found else None
                if isinstance(before, VringsSwitched) and before.on == switched.on:
                    found[-1] = VringsSwitched((*before.vrings, entry.ring), before.on)
                else:
                    found.append(switched)
        return found

    def _moves(self, entry: Entry, ring: int) -> bool:
        """Whether the message took effect, and changed anything."""
        if entry.fault or (ring in self._enabled) == bool(entry.value):
            return False
        self._enabled ^= {ring}
        return True
