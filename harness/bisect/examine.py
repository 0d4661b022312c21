"""One commit: build it, ask it, and remember the answer."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

from harness.bisect.builds import NotBuilt, binary_of
from harness.bisect.plan import Finding, Outcome, Plan
from harness.bisect.shell import Git, clean_environment, last_line, run_command
from harness.checkout import ROOT
from harness.errors import BadInput, DeadlineExceeded, HarnessError
from harness.expected.compare import Kind, judge, missing_parts
from harness.record.results import Run, load
from harness.scratch import Scratch

ASK_SECONDS = 900.0
"""Longer than any one test, or any few variants of one, take."""
REPORT, TEXT, FINDING = "report", "repro.txt", "finding.json"
NO_SUCH_TEST = (4, 5)
"""pytest's exit statuses for an id that names nothing, and for nothing selected."""


def examine(plan: Plan, commit: str) -> Finding:
    """Build and ask a commit, or repeat what was found before in this bisection.

    Raises BadInput if the suite has no such test.
    """
    folder = Path(plan.folder) / commit[:12]
    if (folder / FINDING).exists():
        return msgspec.json.decode((folder / FINDING).read_bytes(), type=Finding)
    folder.mkdir(exist_ok=True)
    begin = time.monotonic()
    try:
        binary = binary_of(plan, commit, folder / "build.log")
        outcome, reason = _repro(plan, binary, folder) if plan.issue else _test(plan, commit, binary, folder)
    except NotBuilt as error:
        outcome, reason = "unknown", str(error)
    except DeadlineExceeded as error:
        outcome, reason = "unknown", f"it came to no answer: {error}"
    subject = Git(Path(plan.worktree))("show", "--no-patch", "--format=%s", commit)
    found = Finding(
        commit=commit,
        subject=subject,
        outcome=outcome,
        reason=reason,
        seconds=round(time.monotonic() - begin, 1),
    )
    (folder / FINDING).write_bytes(msgspec.json.encode(found))
    return found


def _repro(plan: Plan, binary: Path, folder: Path) -> tuple[Outcome, str]:
    log = folder / TEXT
    command = [sys.executable, "-m", "harness.repro.command", plan.issue, "--vmm", str(binary)]
    status = run_command(
        command, log=log, within=ASK_SECONDS, doing=plan.question, cwd=ROOT, environment=clean_environment()
    )
    outcomes: dict[int, Outcome] = {0: "good", 1: "bad"}
    return outcomes.get(status, "unknown"), last_line(log)


def test_id(test: str, build: str) -> str:
    """The id of one test on one build, as pytest wants it: `t.py::test_a[build-probe-3]`."""
    return test.replace("[", f"[{build}-", 1)


def _test(plan: Plan, commit: str, binary: Path, folder: Path) -> tuple[Outcome, str]:
    name = commit[:9]
    if (why := _lifeless(f"{name}={binary}")) is not None:
        return "unknown", why
    command = [sys.executable, "-m", "pytest", test_id(plan.test, name), "--vmm", f"{name}={binary}"]
    command += ["--report", str((folder / REPORT).absolute()), "--seed", str(plan.seed)]
    status = run_command(
        command,
        log=folder / "pytest.log",
        within=ASK_SECONDS,
        doing=plan.question,
        cwd=ROOT,
        environment=clean_environment(),
    )
    if status in NO_SUCH_TEST:
        raise BadInput(
            f"the suite cannot run {plan.test}: give the id as in results.json, without a VMM's name; "
            f"{_complaint(folder / 'pytest.log')}"
        )
    if status not in (0, 1):
        return "unknown", f"pytest ended with {status}: {_complaint(folder / 'pytest.log')}"
    return verdict(load(folder / REPORT), name)


def _complaint(log: Path) -> str:
    """What pytest says is wrong."""
    said = [line for line in log.read_text(errors="replace").splitlines() if line.lower().startswith("error")]
    return f"pytest said: {said[0][:200]}" if said else f"see {log}"


def _lifeless(vmm: str) -> str | None:
    """Why a build can run no VM at all, which is not what a test is about; None if it can."""
    from harness.run.capability import capabilities  # slow to import, and a reproducer needs neither
    from harness.vmm.find import find_vmms

    try:
        (build,) = find_vmms([vmm])
    except BadInput as error:
        return f"it built something else: {error}"
    scratch = Scratch()
    try:
        answer = capabilities(build, scratch.folder).probe_guest
    except HarnessError as error:
        return str(error)
    finally:
        scratch.close()
    return None if answer.works else f"it runs no VM here: {answer.detail}"


def verdict(run: Run, name: str) -> tuple[Outcome, str]:
    """Good if every test passed, bad if one failed, whatever became of the others."""
    results = [result for result in run.results if result.vmm == name]
    findings = [found for result in results if (found := judge(result, None)) is not None]
    bad = [found for found in findings if found.kind is Kind.NEW_FAILURE]
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        return "bad", bad[0].text + more
    if unsure := [
        f for f in [*findings, *missing_parts(run, [name], part=True)] if f.kind in (Kind.LOST, Kind.PROBLEM)
    ]:
        return "unknown", unsure[0].text
    return "good", ""
