"""A VMM that its own seccomp filter ended: the test is run once more under a tracer, which learns what was forbidden.

The kernel tells thread and system call to nobody but a tracer, and a tracer costs each thread of a VMM's a stop at its
start. So nothing is traced until such a death was seen. The verdict is that of the first run.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from _pytest.runner import call_and_report, runtestprotocol

from harness.evidence.collect import ATTRIBUTE
from harness.host.syscalls import Sightings
from harness.process.last_words import FORBIDDEN
from harness.record.results import Verdict, from_dict, to_dict

SIGHTINGS = pytest.StashKey[Sightings]()
"""Of a test that is run once more: what is seen of its VMs."""


@pytest.hookimpl
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test as pytest does, and once more where a filter ended its VMM, before that is reported."""
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    held: list[pytest.TestReport] = []

    def take(report: pytest.TestReport) -> None:
        if held or _ended_by_its_filter(report):
            held.append(report)
        else:
            hook.pytest_runtest_logreport(report=report)

    try:
        _run(item, nextitem, take)
        if held:
            seen = _looked_again(item, nextitem)
            for report in filter(_ended_by_its_filter, held):
                _say(report, seen)
    finally:
        for report in held:
            hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _run(item: pytest.Item, nextitem: pytest.Item | None, take: Callable[[pytest.TestReport], None]) -> None:
    """The three phases of a test, as runtestprotocol runs them, which would report them at once or at the end."""
    if not item._request:  # type: ignore[attr-defined]
        item._initrequest()  # type: ignore[attr-defined]
    try:
        take(setup := call_and_report(item, "setup", log=False))
        if setup.passed:
            take(call_and_report(item, "call", log=False))
        if item.session.shouldfail or item.session.shouldstop:
            nextitem = None
        take(call_and_report(item, "teardown", log=False, nextitem=nextitem))
    finally:
        item._request = False  # type: ignore[attr-defined]
        item.funcargs = None  # type: ignore[attr-defined]


def _ended_by_its_filter(report: pytest.TestReport) -> bool:
    if (plain := getattr(report, ATTRIBUTE, None)) is None:
        return False
    result = from_dict(plain)
    return result.verdict is Verdict.FAIL and result.key.startswith("died: SIGSYS")


def _looked_again(item: pytest.Item, nextitem: pytest.Item | None) -> str:
    """What a run of the test under a tracer shows, in words."""
    item.stash[SIGHTINGS] = sightings = Sightings()
    try:
        runtestprotocol(item, log=False, nextitem=nextitem)
    finally:
        del item.stash[SIGHTINGS]
    if sightings.violations:
        return str(sightings.violations[0])
    return sightings.refused or "it did not happen again when the test was run once more under a tracer"


def _say(report: pytest.TestReport, seen: str) -> None:
    result = from_dict(getattr(report, ATTRIBUTE))
    before, told, after = result.reason.partition(FORBIDDEN)
    reason = f"{before}{told}: {seen}{after}" if told else f"{result.reason}; {seen}"
    setattr(report, ATTRIBUTE, to_dict(msgspec.structs.replace(result, reason=reason)))
    report.longrepr = f"{reason}\n\n{report.longreprtext}"
