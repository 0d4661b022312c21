"""A pytest plugin that tells where a run's time goes. It runs in other revisions too, so it imports nothing of ours.

Each process appends a line for each phase of a test: seconds of wall clock, of its own processor time (harness), and of
what it started (VMM, and of that the guest, as far as KVM ran it: proc_pid_stat(5), guest_time).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

FOLDER = "MQ_BENCH_PHASES"
"""The environment variable that names the folder for the lines."""
ONLY, TELL = "MQ_BENCH_ONLY", "MQ_BENCH_TELL"
"""The environment variables that name a file of the tests to run, a line each, and one to write all tests to."""
START = "start"
_TICK = os.sysconf("SC_CLK_TCK")
# places in /proc/PID/stat, counted from the state on
_UTIME, _STIME, _CUTIME, _CSTIME, _STARTED, _GUEST, _CGUEST = 11, 12, 13, 14, 19, 40, 41


def _stat(pid: int | str) -> list[int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [0 if index == 0 else int(field) for index, field in enumerate(fields)]


def _clocks() -> tuple[float, float, float, float]:
    """Wall clock, our processor time, that of what we started without its guests, and that of the guests."""
    own = _stat("self")
    others, guests = own[_CUTIME] + own[_CSTIME], own[_CGUEST]
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            for child in (task / "children").read_text().split():
                with suppress(OSError):
                    stat = _stat(child)
                    others += stat[_UTIME] + stat[_STIME] + stat[_CUTIME] + stat[_CSTIME]
                    guests += stat[_GUEST] + stat[_CGUEST]
    return time.monotonic(), time.process_time(), (others - guests) / _TICK, guests / _TICK


def _since_start() -> tuple[float, float, float, float]:
    up = float(Path("/proc/uptime").read_text().split()[0])
    now = _clocks()
    return now[0] - (up - _stat("self")[_STARTED] / _TICK), 0.0, 0.0, 0.0


_before: tuple[float, float, float, float] | None = None


def _tell(phase: str, started: float = 1.0) -> None:
    global _before
    now = _clocks()
    before = _since_start() if _before is None else _before
    wall, harness, vmm, guest = (later - earlier for earlier, later in zip(before, now, strict=True))
    _before = now
    of_others = {"VMM": started * max(0.0, vmm), "guest": started * max(0.0, guest)}
    line = {"phase": phase, "wall": wall, "harness": harness, **of_others}
    with (Path(os.environ[FOLDER]) / f"{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


_has_workers = False


def pytest_configure(config: pytest.Config) -> None:
    """Learn whether others run the tests."""
    global _has_workers
    _has_workers = getattr(config.option, "dist", "no") != "no" and not hasattr(config, "workerinput")


def _named(item: pytest.Item) -> str:
    """Without folders: files are told apart by their names, and checkouts and workers may differ in their roots."""
    return f"{item.path.name}::{item.nodeid.partition('::')[2]}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run those tests only that others have too."""
    if ONLY in os.environ:
        chosen = set(Path(os.environ[ONLY]).read_text().splitlines())
        items[:] = [item for item in items if _named(item) in chosen]
    if TELL in os.environ:
        Path(os.environ[TELL]).write_text("".join(f"{_named(item)}\n" for item in items))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart() -> None:
    """What came before a test is the start of its process, or lies between two tests."""
    if not _has_workers:
        _tell(START if _before is None else "between")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary() -> None:
    """A main process with workers has one phase, and what it started tells of itself."""
    if _has_workers:
        _tell("main process", started=0.0)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup() -> Iterator[None]:
    """A phase."""
    yield from _phase("setup")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call() -> Iterator[None]:
    """A phase."""
    yield from _phase("call")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """A phase."""
    yield from _phase("teardown")


def _phase(name: str) -> Iterator[None]:
    try:
        yield
    finally:
        _tell(name)
