"""A test's timeline: every source on one clock, in order, what was before the test left out."""

from __future__ import annotations

import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.evidence import timeline
from harness.host.syscalls import Supervisor
from harness.host.vhost_user.log import Entry
from harness.host.vhost_user.messages import Kind
from harness.process.log_clock import LogClock, Stamped
from harness.record.journal import Journal
from harness.record.results import Event
from harness.vmm.cloud_hypervisor_files import timed_lines


class Watched(Supervisor):
    """As much of a supervisor as has calls."""

    def __init__(self, calls: Any) -> None:
        self._calls = calls


def a_vm(*lines: tuple[float, str], calls: Any = ()) -> Any:
    process = SimpleNamespace(
        watcher=Watched(calls) if calls else None, clock=LogClock(Path("/dev/null"), 0.0)
    )
    stamped = [Stamped(0, at, text) for at, text in lines]
    return SimpleNamespace(timed_log=lambda: stamped, process=process)


class Call:
    time = 0.0

    def __str__(self) -> str:
        return "#1 net0_ctrl[7] ATTACH fd 9 of mq0 -> ok [300 us]"


def test_sources_are_in_the_order_in_which_things_happened() -> None:
    journal = Journal()
    journal.add("guest", "asks for 2 pairs")
    call = Call()
    call.time = time.monotonic()
    logged = time.monotonic()
    journal.add("guest", "is told OK: 2 active", pairs=2)
    events = timeline.merged(journal, [a_vm((logged, "<net0_ctrl> INFO: 2 pairs"), calls=[call])], [])
    assert [event.source for event in events] == ["guest", "syscall", "vmm", "guest"]
    assert events[1].text == f"TUNSETQUEUE {call}"
    assert events[-1].pairs == 2
    assert timeline.text(events).splitlines()[0].split(maxsplit=1)[1] == "guest       asks for 2 pairs"


def test_what_a_vm_did_before_the_test_took_it_over_is_left_out() -> None:
    before = time.monotonic()
    journal = Journal()
    assert timeline.merged(journal, [a_vm((before - 5, "old"), (before + 5, "new"))], [])[0].text == "new"


def test_long_timelines_keep_their_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MOST", 20)
    journal = Journal()
    for number in range(20):
        journal.add("guest", str(number))
    assert timeline.merged(journal, [], []) == tuple(journal.events)
    for number in range(20, 100):
        journal.add("guest", str(number))
    events = timeline.merged(journal, [], [])
    texts = [event.text for event in events]
    assert len(texts) == 20
    assert texts[:5] == ["0", "1", "2", "3", "4"]
    assert events[5] == Event(events[6].at, "test", "81 lines left out")
    assert texts[6:] == [str(number) for number in range(86, 100)]


def test_a_vmm_that_logs_its_whole_configuration_is_cut_short() -> None:
    journal = Journal()
    just, long = "y" * timeline.LONGEST, "x" * 5000
    events = timeline.merged(journal, [a_vm((time.monotonic(), just), (time.monotonic(), long))], [])
    assert [event.text for event in events] == [
        just,
        "x" * (timeline.LONGEST - 1) + "\N{HORIZONTAL ELLIPSIS}",
    ]


@pytest.mark.parametrize(
    ("doubt", "told"),
    [
        (timeline.VISIBLE, []),
        (0.25, ["lines of base's log may be off by 0.250 s, not across other lines"]),
        (math.inf, []),
    ],
)
def test_doubt_about_a_logs_times_is_told_first(doubt: float, told: list[str]) -> None:
    journal = Journal()
    journal.add("guest", "asks for 2 pairs")
    vm = a_vm((time.monotonic(), "2 pairs"))
    vm.vmm = SimpleNamespace(name="base")
    vm.process.clock.uncertainty = lambda lines: doubt
    events = timeline.merged(journal, [vm], [])
    assert [*events[:-2]] == [Event(0.0, "test", text) for text in told]


def test_messages_to_a_back_end_stand_where_they_came() -> None:
    journal = Journal()
    journal.add("guest", "asks for 2 pairs")
    entry = Entry(0, time.monotonic(), 1, Kind.SET_VRING_ENABLE, ring=2, value=1)
    backend: Any = SimpleNamespace(messages=lambda: [entry])
    journal.add("guest", "is told OK: 2 active")
    nics: Any = [SimpleNamespace(backend=backend), SimpleNamespace(backend=SimpleNamespace())]
    _, message, _ = timeline.merged(journal, [], nics)
    assert message == Event(journal.since(entry.time), "vhost-user", str(entry))
    assert message.text == "#1 VMM SET_VRING_ENABLE vring 2 = 0x1"


def test_lines_of_cloud_hypervisor_tell_their_time() -> None:
    log = b"noise\ncloud-hypervisor:   0.085410s: <net0_ctrl> WARN:a.rs:87 -- Corrupted\r\n  more of it\n"
    (line,) = timed_lines(log)
    assert (line.seconds, line.text) == (0.08541, "<net0_ctrl> WARN:a.rs:87 -- Corrupted")
    assert log[: line.end].endswith(b"Corrupted\r")
