"""pytest's side of the lab: tests that this host cannot run are run there, and reported as if they had run here.

Each process that runs tests, the only one or an xdist worker, has a session of its own in the lab. The tests of the
lab come last, so that it can boot while the others run.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.lab.deadlines import Afresh
from harness.lab.routing import goes_to_lab, why_not_in_the_lab
from harness.lab.suite import LOST, SUITE, LabSuite
from harness.lab.wire import Status
from harness.run.needs import ELSEWHERE
from harness.run.session import SESSION

AFRESH = pytest.StashKey[Afresh]()


def pytest_configure(config: pytest.Config) -> None:
    """Have skips say what the lab could have done."""
    config.stash[ELSEWHERE] = why_not_in_the_lab


def _is_for_lab(item: pytest.Item) -> bool:
    session = item.config.stash.get(SESSION, None)
    if session is None or item.config.option.lab == "never":
        return False
    return goes_to_lab(item, session, always=item.config.option.lab == "always")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the lab's tests last."""
    items.sort(key=_is_for_lab)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Have the lab started if there are tests for it, while this process is still in the host's network."""
    config = session.config
    items = [item for item in session.items if _is_for_lab(item)]
    if not items or config.option.collectonly:
        return
    suite = config.stash[SUITE] = LabSuite(config, config.stash[SESSION], items, _announcer(config))
    config.stash[AFRESH] = Afresh(suite.run_afresh)
    config.add_cleanup(suite.close)
    suite.start()


def _announcer(config: pytest.Config) -> Callable[[Status], None]:
    """Says on the terminal, where this process has one, what the lab is doing before it is ready."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    said = [""]

    def announce(status: Status) -> None:
        if status.phase not in ("ready", said[0]) and reporter is not None:
            said[0] = status.phase
            reporter.ensure_newline()
            reporter.write_line(f"the lab is not up yet, after {status.seconds:.0f} s: {status.phase}")

    return announce


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Run a test in the lab, if it is one for it. Where no lab is to be had it goes on here, and is skipped."""
    suite = item.config.stash.get(SUITE, None)
    if suite is None or not _is_for_lab(item):
        return None
    if not suite.open() and item.config.option.lab == "auto":
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    try:
        for report in item.config.stash[AFRESH].confirmed(item, list(suite.run(item))):
            item.ihook.pytest_runtest_logreport(report=report)
    except LOST as error:
        _report_error(item, error)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _report_error(item: pytest.Item, error: Exception) -> None:
    """Report that the lab could not run a test."""

    def fail() -> None:
        raise error

    for call in (
        pytest.CallInfo.from_call(fail, when="setup"),
        pytest.CallInfo.from_call(lambda: None, when="teardown"),
    ):
        report = item.ihook.pytest_runtest_makereport(item=item, call=call)
        item.ihook.pytest_runtest_logreport(report=report)
