from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

from harness.deadline import PACE
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.faults import Refuse
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.payloads import MemoryTable
from harness.host.vhost_user.rates import capture_rate, injection_rate, turnarounds

from .driver import DriverRing
from .frontend import FrontEnd


def test_entries_are_found_by_kind_ring_and_mark(backend: Backend, running: FrontEnd) -> None:
    running.set_pairs(1)
    mark = backend.mark()
    running.set_pairs(4)
    assert len(backend.log.entries(Kind.SET_VRING_ENABLE)) == 16
    assert len(backend.log.entries(Kind.SET_VRING_ENABLE, since=mark)) == 8
    assert [each.value for each in backend.log.entries(Kind.SET_VRING_ENABLE, ring=5)] == [0, 1]


def test_an_entry_reads_like_a_sentence(backend: Backend, running: FrontEnd) -> None:
    backend.arm(Refuse(Kind.SET_VRING_ENABLE, ring=3))
    running.enable(3)
    text = str(backend.log.entries(Kind.SET_VRING_ENABLE)[-1])
    assert text == "#1 VMM SET_VRING_ENABLE vring 3 = 0x1 -> 0x1 [refuse SET_VRING_ENABLE of vring 3]"


def test_an_entry_carries_times_arguments_and_descriptors(backend: Backend, running: FrontEnd) -> None:
    running.enable(0)
    table = backend.log.entries(Kind.SET_MEM_TABLE)[0]
    enable = backend.log.entries(Kind.SET_VRING_ENABLE)[0]
    assert (table.fds, table.need_reply, table.reply, table.connection) == (1, True, 0, 1)
    assert isinstance(table.args, MemoryTable)
    assert table.args.regions == (running.memory.description,)
    assert table.seconds is not None
    assert table.time + table.seconds < enable.time


def test_the_log_is_dumped_as_json_lines(
    backend: Backend, running: FrontEnd, tmp_path: Path, connect: Callable[[], FrontEnd]
) -> None:
    running.tell(99)
    backend.take_findings()
    backend.log.dump(tmp_path / "log.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(lines) == len(backend.log)
    assert (lines[0]["kind"], lines[1]["kind"], lines[-1]["kind"]) == ("connected", "SET_OWNER", 99)
    assert [line["args"]["index"] for line in lines if line["kind"] == "SET_VRING_KICK"] == list(range(8))


def test_rates_are_measured(backend: Backend, running: FrontEnd) -> None:
    running.set_pairs(1)
    running.rings[0].post(20)
    running.rings[1].send(*[b"x" * 60] * 20)
    start = time.monotonic()
    rate = injection_rate(backend, 0, b"x" * 60, 20, within=2)
    assert rate * (time.monotonic() - start) >= 20
    assert backend.ring(0).counters.received == 20
    answered = turnarounds(backend.log)
    assert len(answered) == len([each for each in backend.log if each.reply is not None])
    assert 0 < min(answered) < time.monotonic() - backend.log.entries()[0].time


def send_until(stop: threading.Event, ring: DriverRing) -> None:
    """Send one frame after another, each when the last came back."""
    while not stop.is_set():
        if ring.used == ring.available:
            ring.send(b"x" * 60)
        time.sleep(0)


def test_capture_rate_counts_what_is_sent_from_now_on(backend: Backend, running: FrontEnd) -> None:
    running.set_pairs(1)
    stop = threading.Event()
    sender = threading.Thread(target=send_until, args=(stop, running.rings[1]))
    sender.start()
    start = time.monotonic()
    rate = capture_rate(backend, 1, 50, within=2)
    elapsed = time.monotonic() - start
    stop.set()
    sender.join(2 * PACE)
    assert rate * elapsed > 40
    assert backend.ring(1).counters.transmitted >= 50
