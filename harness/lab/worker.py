"""The suite's other half in the lab: a pytest session that runs the tests it is told to, one by one.

It reads a Task from standard input, a line of JSON, and says {"ready": true} once it has collected. From then on it
reads lines {"run": node id}; for each it writes lines {"report": ...} as the test goes on, and {"done": node id}.
What it has to say goes to descriptor 3: standard output is for what tests print.

It passes for an xdist worker: it is handed a Session, tests, and judges; the main process collects and reports.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

import msgspec
import pytest

from harness.lab.reports import packed
from harness.lab.wire import RECORDS


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What the session is about."""

    session: bytes
    """A harness.run.session.Session, packed."""
    tests: tuple[str, ...]
    """What to collect: files, or functions in them."""
    options: tuple[str, ...]
    """Words of a command line: options of the main process."""
    root: str
    inifile: str | None = None


class Worker:
    """A pytest plugin: the session's hooks."""

    def __init__(self, task: Task, orders: TextIO, answers: TextIO) -> None:
        self._task = task
        self._orders = orders
        self._answers = answers
        self._config: pytest.Config

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        """Make the configuration look like an xdist worker's, before anybody looks."""
        self._config = config
        config.workerinput = {"conformance": self._task.session}  # type: ignore[attr-defined]
        config.workeroutput = {}  # type: ignore[attr-defined]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run what is asked for until nothing more is."""
        items = {item.nodeid: item for item in session.items}
        self._say(ready=True)
        for line in self._orders:
            nodeid = msgspec.json.decode(line)["run"]
            item = items[nodeid]
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            self._say(done=nodeid)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send the report of a phase."""
        self._say(report=packed(self._config, report))

    def _say(self, **words: object) -> None:
        self._answers.write(msgspec.json.encode(words).decode() + "\n")
        self._answers.flush()


def main() -> int:
    """Run the session. Returns pytest's exit status."""
    # pytest captures descriptors 0 to 2 while a test runs
    orders = os.fdopen(os.dup(0))
    task = msgspec.json.decode(orders.readline(), type=Task)
    worker = Worker(task, orders, os.fdopen(RECORDS, "w"))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    place = [f"--rootdir={task.root}", *(["-c", task.inifile] if task.inifile else [])]
    quiet = ["-p", "no:cacheprovider", "-q", "--no-header", "--no-summary"]
    tests = [str(Path(task.root) / test) for test in task.tests]
    return int(pytest.main([*quiet, *place, *task.options, *tests], plugins=[worker]))
