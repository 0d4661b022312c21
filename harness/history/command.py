"""The command line of ci/history."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from harness.bisect.builds import NotBuilt, Recipe
from harness.bisect.shell import Git
from harness.bisect.worktree import repository, worktree
from harness.errors import BadInput, HarnessError
from harness.gate.suite import run_suite
from harness.history.bugs import Bug, chosen, load_bugs
from harness.history.builds import Binary, from_folder, from_repository
from harness.history.judge import AFTER, BEFORE, Measured, Outcome, measure
from harness.interrupts import as_interrupts
from harness.program import Parser, at_dashes, called

EPILOG = """\
examples:
  %(prog)s --repo ~/src/cloud-hypervisor --build 'cargo build --release' --binary target/release/cloud-hypervisor
  %(prog)s --repo ~/src/cloud-hypervisor --builds ~/builds     binaries that are there: ~/builds/COMMIT
  %(prog)s ... --only 8722 --only e4f074452 --named            these bugs, with the tests that are named for them
  %(prog)s ... -- --lab auto                                   what follows -- is the suite's

For each bug it runs the tests that the table names, and the rest of the suite on the probe guest, on the commit before
the fix and on the fix: caught where a named test is red before and green after. Whoever fixes a bug adds a row to
conformance/history.toml.

exit status: 0 all caught; 1 some missed; 2 none could be judged, or some could not.
"""
SHOWN = 8
"""Other tests that are named of one bug."""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "history",
        description="Measure the suite against public bugs, before and after each fix.",
        epilog=EPILOG,
    )
    parser.add_argument("--repo", type=Path, metavar="DIR", help="a git repository of cloud-hypervisor")
    parser.add_argument("--build", metavar="CMD", help="shell command that builds it")
    parser.add_argument("--binary", metavar="PATH", help="what it makes; relative to the top of the tree")
    parser.add_argument("--builds", type=Path, metavar="DIR", help="a folder of binaries by commit, instead")
    parser.add_argument(
        "--only", action="append", metavar="BUG", help="this report or fix; may be given several times"
    )
    parser.add_argument(
        "--named", action="store_true", help="run the named tests alone, not the rest of the suite"
    )
    parser.add_argument(
        "--build-minutes", type=float, default=60.0, metavar="N", help="when a build hangs (60)"
    )
    parser.add_argument(
        "--report", type=Path, default=Path("report/history"), metavar="DIR", help="evidence (report/history)"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for. Returns the exit status."""
    ours, suite = at_dashes(arguments)
    options = _parser().parse_args(ours)
    as_interrupts()  # the worktree is removed on the way out
    try:
        bugs = chosen(load_bugs(), options.only)
        with ExitStack() as undo:
            binary = _binaries(options, bugs, undo)
            measured = [_one(bug, binary, options, suite) for bug in bugs]
    except HarnessError as error:
        print(f"{called('history')}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{called('history')}: stopped; what was built is kept", file=sys.stderr)
        return 2
    return _conclude(measured)


def _binaries(options: argparse.Namespace, bugs: Sequence[Bug], undo: ExitStack) -> Binary:
    git = Git(repository(options.repo)) if options.repo is not None else None
    if options.builds is not None:
        if not options.builds.is_dir():
            raise BadInput(f"--builds {options.builds}: there is no such folder")
        return from_folder(options.builds, git)
    if git is None or not options.build or not options.binary:
        raise BadInput("give --repo, --build and --binary, or --builds")
    tree = undo.enter_context(worktree(options.repo, git.commit("commit", bugs[0].fix)))
    recipe = Recipe(
        worktree=str(tree), build=options.build, binary=options.binary, build_minutes=options.build_minutes
    )
    logs = options.report.absolute() / "builds"
    logs.mkdir(parents=True, exist_ok=True)
    return from_repository(recipe, git, logs)


def _one(bug: Bug, binary: Binary, options: argparse.Namespace, suite: Sequence[str]) -> Measured:
    """Build and run one bug, and tell of it."""
    try:
        sides = [f"{BEFORE}={binary(bug.shows)}", f"{AFTER}={binary(bug.fix)}"]
        report = options.report / re.sub(r"[^\w.-]", "-", f"{bug.report}-{bug.fix}")
        report.mkdir(parents=True, exist_ok=True)
        with (report / "suite.txt").open("w") as said:
            run = run_suite(sides, report, [*_what(bug, options.named), *suite], output=said.fileno())
        found = measure(bug, run)
    except (NotBuilt, BadInput) as error:
        found = Measured(bug, Outcome.UNKNOWN, str(error))
    print(_told(found), flush=True)
    return found


def _what(bug: Bug, named: bool) -> list[str]:
    """pytest's words for what is run. A pattern without parameters is the id of the function, which runs them all."""
    if not named:
        return ["-m", "not slow", "-k", f"probe or {' or '.join(_functions(bug))}"]
    return list(dict.fromkeys(pattern.partition("[")[0] for pattern in bug.tests))


def _functions(bug: Bug) -> list[str]:
    return sorted({pattern.partition("[")[0].rpartition("::")[2] for pattern in bug.tests})


def _told(found: Measured) -> str:
    lines = [f"{found.outcome:<8} {found.bug.report} ({found.bug.fix}): {found.bug.fault}"]
    lines += [f"         {found.why}"] if found.why else []
    lines += [f"         {test}\n             {line}" for test, line in list(found.caught_by.items())[:SHOWN]]
    for title, tests in (("also mended", found.also_mended), ("broken by it", found.broken)):
        if tests:
            more = f" and {len(tests) - SHOWN} more" if len(tests) > SHOWN else ""
            lines.append(f"         {title}: {', '.join(tests[:SHOWN])}{more}")
    return "\n".join(lines)


def _conclude(measured: Sequence[Measured]) -> int:
    counts = {outcome: sum(each.outcome is outcome for each in measured) for outcome in Outcome}
    print(
        "\n" + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) + f" of {len(measured)}"
    )
    if counts[Outcome.MISSED]:
        return 1
    return 2 if counts[Outcome.UNKNOWN] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
