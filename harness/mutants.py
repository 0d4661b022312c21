"""The kill matrix: does each test fail on some wrong VMM, and each wrong VMM fail some test? Run as ci/mutants.

The suite runs once on a VMM that is right, then once under each mutant of that same binary. A mutant *kills* a
test that passed before and does not pass under it. What is left over is a test that proves nothing, or a defect
that nobody would notice; conformance/mutants.toml names those for which that is known, and why.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.errors import BadInput, HarnessError
from harness.evidence.results import Verdict, load
from harness.guest.probe.device import VirtioDevice
from harness.guest.probe.distortions import DISTORTIONS
from harness.host.syscalls import Policy
from harness.host.syscalls.mutants import MUTANTS
from harness.host.vhost_user import mutants as vhost_user_mutants
from harness.host.vhost_user.rules import Rule
from harness.testbed import Testbed

ROOT = Path(__file__).parents[1]
Wrong = Callable[[Testbed], None]
"""Makes whatever a testbed launches from then on wrong."""


def _all_mutants() -> dict[str, Wrong]:
    """Every mutant by its name: calls and vhost-user messages that go wrong, and devices that are distorted."""

    def with_policy(policy: Callable[[], Policy]) -> Wrong:
        return lambda bed: setattr(bed, "syscalls", policy())

    def with_device(device: Callable[..., VirtioDevice]) -> Wrong:
        return lambda bed: setattr(bed, "device", device)

    def with_rules(rules: Callable[[int], Sequence[Rule]]) -> Wrong:
        return lambda bed: setattr(bed, "rules", rules)

    calls = {known.name: with_policy(known.policy) for known in MUTANTS}
    messages = {known.name: with_rules(known.rules) for known in vhost_user_mutants.MUTANTS}
    return calls | messages | {known.name: with_device(known.device) for known in DISTORTIONS}


def find_mutant(name: str) -> Wrong:
    """The mutant of that name. Raises BadInput, which lists them, for another."""
    known = _all_mutants()
    if name not in known:
        raise BadInput(f"there is no mutant {name!r}; there are {', '.join(known)}")
    return known[name]


EXCEPTIONS = ROOT / "conformance" / "mutants.toml"
RUN_PATIENCE = 1800.0
"""Seconds for one run of the suite."""


@dataclass
class Kills:
    """Which tests each mutant kills; both by the test's function, whose variants count together."""

    tests: set[str]
    by_mutant: dict[str, set[str]] = field(default_factory=dict)

    @property
    def unkilled(self) -> set[str]:
        """Tests that passed under every mutant."""
        return self.tests - set().union(*self.by_mutant.values())

    @property
    def harmless(self) -> set[str]:
        """Mutants under which every test passed."""
        return {name for name, killed in self.by_mutant.items() if not killed}


def function_of(test: str) -> str:
    """A test's name without its parameters."""
    return test.partition("[")[0]


def run_suite(vmm: str, name: str | None, arguments: Sequence[str]) -> dict[str, bool]:
    """One run of the suite; for each test that was not skipped, whether it passed."""
    with tempfile.TemporaryDirectory(prefix="vnmq-report-") as report:
        words = [sys.executable, "-m", "pytest", "conformance", "-q", "-n", "auto", "--vmm", vmm]
        words += ["--report", report, *([] if name is None else ["--mutant", name]), *arguments]
        try:
            done = subprocess.run(
                words, cwd=ROOT, capture_output=True, text=True, timeout=RUN_PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            raise BadInput(
                f"the suite did not end within {RUN_PATIENCE:.0f} s under {name or 'no mutant'}"
            ) from None
        if done.returncode not in (0, 1):
            raise BadInput(f"the suite could not run: {(done.stderr or done.stdout).strip()[-400:]}")
        results = load(Path(report)).results
    return {r.test: r.verdict is Verdict.PASS for r in results if r.verdict is not Verdict.SKIP}


def measure(vmm: str, names: Sequence[str], arguments: Sequence[str]) -> Kills:
    """Run everything. Raises BadInput if the VMM is not right to begin with in any test."""
    begin = time.monotonic()
    usual = run_suite(vmm, None, arguments)
    right = {test for test, passed in usual.items() if passed}
    print(
        f"without a mutant: {len(right)} of {len(usual)} pass, {time.monotonic() - begin:.0f} s", flush=True
    )
    kills = Kills({function_of(test) for test in right})
    for name in names:
        begin = time.monotonic()
        found = run_suite(vmm, name, arguments)
        # One that is skipped under a mutant, as where its VMM does not start, has judged nothing.
        dead = {test for test in right if not found.get(test, True)}
        kills.by_mutant[name] = {function_of(test) for test in dead}
        print(f"{name}: kills {len(dead)} tests, {time.monotonic() - begin:.0f} s", flush=True)
    return kills


def table(kills: Kills) -> Table:
    """Mutants by row; the tests that each kills by file and function."""
    shown = Table("mutant", "tests", "killed", box=None, padding=(0, 1))
    for name, killed in kills.by_mutant.items():
        files: dict[str, list[str]] = defaultdict(list)
        for test in sorted(killed):
            path, _, function = test.partition("::")
            files[Path(path).stem.removeprefix("test_")].append(function.removeprefix("test_"))
        text = "; ".join(f"{stem}: {', '.join(functions)}" for stem, functions in files.items())
        shown.add_row(name, str(len(killed)), text or "nothing")
    return shown


def exceptions(path: Path = EXCEPTIONS) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Reasons by test and by mutant. Raises BadInput for a damaged file."""
    try:
        plain = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"cannot read {path}: {error}") from None
    return plain.get("tests", {}), plain.get("mutants", {})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 if both lists are empty or explained, 1 if not, 2 if it could not be found out."""
    parser = argparse.ArgumentParser(
        prog="ci/mutants", description="Prints which tests each mutant kills. Further arguments go to pytest."
    )
    parser.add_argument("--vmm", required=True, metavar="[NAME=]PATH", help="a VMM that is right")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="this mutant; may be given several times"
    )
    options, rest = parser.parse_known_args(arguments)
    try:
        names = options.only or list(_all_mutants())
        for name in names:
            find_mutant(name)
        known_tests, known_mutants = exceptions()
        kills = measure(options.vmm, names, rest)
    except HarnessError as error:
        print(f"ci/mutants: {error}", file=sys.stderr)
        return 2
    Console(width=120).print(table(kills))
    open_tests = (
        sorted(test for test in kills.unkilled if test not in known_tests) if not options.only else []
    )
    open_mutants = sorted(name for name in kills.harmless if name not in known_mutants)
    for title, found in (("no mutant kills", open_tests), ("killed by no test", open_mutants)):
        print(f"\n{title}: {len(found)} unexplained")
        print("".join(f"  {name}\n" for name in found), end="")
    explained = sorted(kills.unkilled & set(known_tests)) + sorted(kills.harmless & set(known_mutants))
    print(f"\nexplained in {EXCEPTIONS.name}: {len(explained)}")
    return 1 if open_tests or open_mutants else 0


if __name__ == "__main__":
    sys.exit(main())
