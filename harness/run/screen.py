"""What a run shows: new causes as they are seen, where it stands, and a last screen that says what it means."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.errors import HarnessError
from harness.evidence.collect import ATTRIBUTE, Collector
from harness.expected.causes import Expected, Key, Standing, causes, what_it_says
from harness.printable import speak_plainly
from harness.record.results import JUDGED, from_dict
from harness.register.register import load_register
from harness.report.history import History, load_history
from harness.report.last_screen import causes_text, ending
from harness.report.matrix import WIDTH, matrix_text
from harness.report.progress import Progress
from harness.report.versions import doubts

PYTESTS_OWN = "fE"
"""What pytest lists at the end unless -r says otherwise."""
PLAIN_LINE_EVERY = 15.0
"""Seconds between two lines of progress where there is no terminal."""


class Screen:
    """Hooks of the main process. `brief`: progress instead of a letter per test, no tracebacks at the end."""

    def __init__(
        self, config: pytest.Config, collector: Collector, expected: Expected, *, brief: bool
    ) -> None:
        self._config = config
        self._collector = collector
        self._brief = brief
        self._expected = expected
        self._seen: set[Key] = set()
        self._progress = Progress(time.monotonic())
        self._live: Live | None = None
        self._told_at = time.monotonic()

    def pytest_sessionstart(self) -> None:
        """The terminal's writer is there by now."""
        speak_plainly(self._config.get_terminal_writer()._file)

    # While it runs

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No letter per test where progress is shown otherwise."""
        if not self._brief or self._config.option.verbose > 0:
            return None
        if report.when != "call" and report.passed:
            return "", "", ""
        word = "error" if report.failed and report.when != "call" else report.outcome
        return word, "", ""

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins, here or in a worker."""
        self._progress.total = len(self._collector.selection.tests)
        self._progress.start(nodeid, time.monotonic())
        self._show()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Say at once what is new."""
        plain: dict[str, Any] | None = getattr(report, ATTRIBUTE, None)
        result = from_dict(plain) if plain is not None else None
        if result is not None and (key := self._expected.cause_of(result)) is not None:
            if key not in self._seen and key.standing is not Standing.KNOWN:
                self._progress.new += 1
                requirement = " ".join(result.requirements[:1])
                self._say(
                    f"{key.standing.value} on {result.vmm}: {requirement} {what_it_says(result)} [{result.test}]"
                )
            self._seen.add(key)
        if report.when == "teardown":
            self._progress.end(report.nodeid, red=False)
        else:
            self._progress.phase(report.nodeid, report.when or "")
        if result is not None and result.verdict.is_bad:
            self._progress.red += 1
        self._show()

    def _say(self, text: str) -> None:
        """A line that stays."""
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None:
            return
        if self._live is not None:
            self._live.console.print(Text(text), soft_wrap=True)
        else:
            reporter.ensure_newline()
            reporter.write_line(text)
            reporter.flush()  # where it goes into a file or a pipe, somebody waits at the other end

    def _show(self) -> None:
        """Where the run stands, at most every now and then."""
        if not self._brief or self._config.option.verbose > 0:
            return
        now = time.monotonic()
        writer = self._config.get_terminal_writer()
        if writer.hasmarkup:
            if self._live is None:
                console = Console(file=writer._file, force_terminal=True, highlight=False)
                self._live = Live(get_renderable=self._picture, console=console, transient=True)
                self._live.start()
        elif now - self._told_at >= PLAIN_LINE_EVERY:
            self._told_at = now
            self._say(self._progress.line(now))

    def _picture(self) -> Text:
        now = time.monotonic()
        return Text(
            "\n".join([self._progress.line(now), *self._progress.tests(now)]),
            no_wrap=True,
            overflow="ellipsis",
        )

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    # At its end

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """The tests are over: what pytest says of failures at the end is in the report and in the bundles."""
        self._stop()
        if self._brief and self._config.option.tbstyle == "auto":
            self._config.option.tbstyle = "no"
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if self._brief and reporter is not None and self._config.option.reportchars == PYTESTS_OWN:
            reporter.reportchars = ""

    def pytest_keyboard_interrupt(self) -> None:
        """Leave the terminal as it was."""
        self._stop()

    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        """What the run means, and where to read on."""
        if not self._collector.anything:
            return
        run = self._collector.run(complete=True)
        found = causes(run, self._expected, load_register())
        report = Path(self._config.option.report)
        look = any(result.needs_a_look for result in run.results)
        history = load_history([report / "runs"], run) if look else History()
        whole = self._config.option.verbose > 0
        color = terminalreporter.hasmarkup
        width = terminalreporter._tw.fullwidth if color else WIDTH
        terminalreporter.section("verdicts")
        terminalreporter.write(matrix_text(run, width=width, color=color, whole=whole))
        terminalreporter.section("causes")
        terminalreporter.write(causes_text(run, found, history, width=width, color=color, whole=whole))
        for doubt in doubts(run, history):
            terminalreporter.write_line(doubt)
        terminalreporter.write_line(self._collector.unsaved or self._collector.where())
        judged = any(result.verdict in JUDGED for result in run.results)
        status = pytest.ExitCode.INTERNAL_ERROR if self._collector.unsaved else int(exitstatus)
        for line in ending(int(status), found, judged=judged, page=self._page(report) if look else None):
            terminalreporter.write_line(line)

    def _page(self, report: Path) -> Path | None:
        """The page of the run, for whoever reads on; results do not depend on it."""
        from harness.report.html import PAGE, write_html  # slow to import, and a green run needs none

        with suppress(HarnessError):
            write_html(self._collector.store.folder, report / PAGE, [report / "runs"])
            return report / PAGE
        return None
