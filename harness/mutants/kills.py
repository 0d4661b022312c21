"""Which mutant kills which test: runs of the whole suite, compared.

The suite runs once on a VMM that is right, then once under each mutant of that same binary, or on each binary that was
built wrong. A mutant *kills* a test that passed before and fails under it. What is left over is a test that proves
nothing, or a defect that nobody would notice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import BadInput
from harness.invocation import words
from harness.process.tether import run_tethered
from harness.record.results import Function, Result, Run, Verdict, load
from harness.scratch import Scratch

RUN_PATIENCE = 1800.0
"""Seconds for one run of the suite."""


@dataclass
class Kills:
    """Which tests each mutant kills; both by their function, whose variants count together."""

    tests: set[Function]
    by_mutant: dict[str, set[Function]] = field(default_factory=dict)

    @property
    def unkilled(self) -> set[Function]:
        """Tests that passed under every mutant."""
        return self.tests - set().union(*self.by_mutant.values())

    @property
    def harmless(self) -> set[str]:
        """Mutants under which every test passed."""
        return {name for name, killed in self.by_mutant.items() if not killed}


Suite = Callable[[], Run]
"""Runs the suite on one VMM, right or wrong."""


def suite(vmm: str, arguments: Sequence[str], *, mutant: str | None = None) -> Suite:
    """The suite on a VMM, which a mutant may make wrong from outside."""
    return lambda: run_suite(vmm, mutant, arguments)


def suites_of_builds(
    folder: Path, only: Collection[str] | None, arguments: Sequence[str]
) -> dict[str, Suite]:
    """The suite on each binary in a folder, by the file's name. Raises BadInput where there is no such."""
    try:
        found = {
            path.name: path
            for path in sorted(folder.iterdir())
            if path.is_file() and os.access(path, os.X_OK)
        }
    except OSError as error:
        raise BadInput(f"--builds {folder}: {error.strerror}") from None
    if missing := set(only or ()) - set(found):
        raise BadInput(
            f"--builds {folder} has no {', '.join(sorted(missing))}; it has {', '.join(found) or 'nothing'}"
        )
    if not found:
        raise BadInput(
            f"--builds {folder}: no file in it can be executed; it is to hold a binary for each mutant"
        )
    return {
        name: suite(f"mutant={path}", arguments) for name, path in found.items() if name in (only or found)
    }


def run_suite(vmm: str, name: str | None, arguments: Sequence[str]) -> Run:
    """One run of the suite."""
    with closing(Scratch()) as scratch:  # locked: no other run tidies it up
        report = str(scratch.folder())
        mutant = [] if name is None else ["--mutant", name]
        command = words(["-q", "--vmm", vmm, "--report", report, *mutant, *arguments])
        try:
            done = run_tethered(command, within=RUN_PATIENCE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except subprocess.TimeoutExpired:
            raise BadInput(f"the suite did not end within {RUN_PATIENCE:.0f} s on {name or vmm}") from None
        if done.returncode not in (0, 1):
            raise BadInput(f"the suite could not run: {(done.stderr or done.stdout).strip()[-400:]}")
        return load(Path(report))


def judged(run: Run) -> dict[str, Result]:
    """What became of each test that was judged: one that is skipped, or could not judge, proves nothing."""
    return {result.test: result for result in run.results if result.verdict in (Verdict.PASS, Verdict.FAIL)}


def measure(right: Suite, wrong: Mapping[str, Suite]) -> Kills:
    """Run everything. What fails on the VMM that is right is left out. Raises BadInput if the suite cannot run."""
    begin = time.monotonic()
    print("the suite runs without a mutant first", file=sys.stderr, flush=True)
    usual = judged(right())
    passed = {test: result.origin for test, result in usual.items() if result.verdict is Verdict.PASS}
    print(
        f"without a mutant: {len(passed)} of {len(usual)} pass, {time.monotonic() - begin:.0f} s", flush=True
    )
    kills = Kills(set(passed.values()))
    for number, (name, run) in enumerate(wrong.items(), 1):
        begin = time.monotonic()
        print(f"{name}: the suite runs ({number} of {len(wrong)})", file=sys.stderr, flush=True)
        found = judged(run())
        dead = [test for test in passed if test in found and found[test].verdict is Verdict.FAIL]
        kills.by_mutant[name] = {passed[test] for test in dead}
        print(f"{name}: kills {len(dead)} tests, {time.monotonic() - begin:.0f} s", flush=True)
    return kills
