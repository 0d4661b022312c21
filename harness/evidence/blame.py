"""Whom a failure is laid at: the VMM, or this host with the suite on it."""

from __future__ import annotations

import ast
import sysconfig
import traceback
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.checkout import ROOT
from harness.errors import DeadlineExceeded, GuestError, HarnessError, Owner, VmmDied, VmmError
from harness.evidence.threads import failed_threads
from harness.guest.answer import plain
from harness.host.syscalls import supervisor_of
from harness.host.trouble import trouble
from harness.host.vhost_user_backend import VhostUser
from harness.process.exit_status import FROM_OUTSIDE
from harness.record.results import Verdict
from harness.testbed.testbed import Testbed

LONGEST = 500
"""Characters of a reason."""
_RAW = "assert "
"""How pytest begins where nobody had better words."""
ASSERTS = ROOT / "harness" / "lifecycle"
"""The part of the library whose assertions are the tests'."""
_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))


class Blame(NamedTuple):
    """FAIL accuses the VMM, ERROR says that the test could not judge; and why, in one line."""

    verdict: Verdict
    reason: str


def blame(error: BaseException | None, when: str, testbed: Testbed | None) -> Blame:
    """Whom a failed phase (`when`: setup, call, teardown) is laid at. What stands first is what explains the rest.

    The suite's own failures explain everything after them, and so does a host in trouble; a VMM that is dead and was
    not asked to die explains whatever the test saw of it. FAIL is for an assertion of a test, for a VMM that refused,
    died or owed something, and for a guest that says so. Everything else is ERROR.
    """
    if own := _own_failure(testbed):
        return Blame(Verdict.ERROR, own)
    death = error if isinstance(error, VmmDied) else _unasked_death(testbed)
    if death is not None and death.code in FROM_OUTSIDE:
        return Blame(Verdict.ERROR, line_of(death))
    words = death.output if death is not None else str(error) if isinstance(error, VmmError) else ""
    folder = testbed.folder if testbed is not None else Path.cwd()
    if why := trouble(words, error, folder):
        met = death or error
        return Blame(Verdict.ERROR, f"{why} (met as: {line_of(met)})" if met is not None else why)
    met = death or error
    assert met is not None
    if death is None and not _accuses_the_vmm(met) and not (when == "call" and _asserted_by_a_test(met)):
        return Blame(Verdict.ERROR, line_of(met))
    why = _unanswered(testbed)
    return Blame(Verdict.FAIL, f"{why} (met as: {line_of(met)})"[:LONGEST] if why else line_of(met))


def unnoticed_death(testbed: Testbed | None) -> Blame | None:
    """What a test that passed is laid at whose VMM died meanwhile, unasked and unnoticed; None if none did."""
    death = _unasked_death(testbed, unnoticed=True)
    return None if death is None else blame(death, "call", testbed)


def _accuses_the_vmm(error: BaseException) -> bool:
    if isinstance(error, DeadlineExceeded):
        return error.owed_by is not Owner.HOST
    return isinstance(error, VmmError | GuestError)


def _asserted_by_a_test(error: BaseException) -> bool:
    """Whether it is an assertion, or pytest.fail, in a test or in what asserts for tests; not one of a library."""
    if not isinstance(error, AssertionError | pytest.fail.Exception):
        return False
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_pytests(frame.filename)]
    if not frames:
        return True
    file = Path(frames[-1].filename)
    if file.is_relative_to(ASSERTS):
        return True
    return not any(file.is_relative_to(place) for place in (ROOT / "harness", *_LIBRARIES))


def _is_pytests(file: str) -> bool:
    return any(part in ("_pytest", "pluggy") for part in Path(file).parts)


def _own_failure(testbed: Testbed | None) -> str:
    """What of the suite's own parts has failed: a thread, a supervisor, a back end."""
    found = list(failed_threads())
    for vm in testbed.vms if testbed is not None else ():
        with suppress(AttributeError):
            if (supervisor := supervisor_of(vm.process)) is not None and supervisor.error is not None:
                found.append(f"the supervisor of system calls failed: {line_of(supervisor.error)}")
    for nic in testbed.nics if testbed is not None else ():
        if why := nic.backend.failure():
            found.append(why)
    return found[0][:LONGEST] if found else ""


def _unanswered(testbed: Testbed | None) -> str:
    """The message without an answer that a VMM has sent to a vhost-user back end: it waits, or has given up."""
    backends = testbed.backends if testbed is not None else ()
    return next((why for each in backends if isinstance(each, VhostUser) and (why := each.unanswered())), "")


def _unasked_death(testbed: Testbed | None, *, unnoticed: bool = False) -> VmmDied | None:
    """The first of the test's VMMs that is dead and was not asked to die; with `unnoticed`, one nobody spoke of."""
    for vm in testbed.vms if testbed is not None else ():
        status = vm.process.ended_unasked()
        if status is not None and not (unnoticed and vm.process.end_is_known):
            return vm.process.died(vm.vmm.name, status, "amid the test")
    return None


def line_of(error: BaseException) -> str:
    """An error in one line: what it says, and for one that nobody foresaw also its kind and place."""
    first = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, HarnessError):
        return first[:LONGEST]
    if isinstance(error, AssertionError | pytest.fail.Exception):
        said = plain(first or _source(error))
        if said.startswith(_RAW) and (owed := _owed(error)):
            said = f"owed: {owed}; found: {said.removeprefix(_RAW)}"
        return said[:LONGEST]
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].name}, {_short(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {first}{place}"[:LONGEST]


def _owed(error: BaseException) -> str:
    """The expression of an assertion that has no words of its own."""
    frames = traceback.extract_tb(error.__traceback__)
    return _assertions(frames[-1].filename).get(frames[-1].lineno or 0, "") if frames else ""


@lru_cache
def _assertions(file: str) -> dict[int, str]:
    """The expressions of a file's assertions, by line."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    return {node.lineno: ast.unparse(node.test) for node in ast.walk(tree) if isinstance(node, ast.Assert)}


def _source(error: BaseException) -> str:
    """The line of an assertion that says nothing."""
    frames = traceback.extract_tb(error.__traceback__)
    return (frames[-1].line if frames else "") or type(error).__name__


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
