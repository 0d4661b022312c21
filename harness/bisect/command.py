"""The command line of ci/bisect."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.bisect.plan import Plan
from harness.bisect.search import check_ends, check_order, search
from harness.bisect.shell import Git
from harness.bisect.story import story
from harness.bisect.worktree import repository, worktree
from harness.errors import HarnessError
from harness.interrupts import as_interrupts
from harness.program import Parser, called
from harness.record.store import RunStore
from harness.repro.command import KNOWN

EPILOG = """\
examples:
  %(prog)s --repo ~/src/vmm --good v52.0 --bad main --build 'cargo build --release' \\
      --binary target/release/cloud-hypervisor --repro 8306
  %(prog)s ... --test 'conformance/mq/test_pairs_set.py::test_host_attaches_the_first_pairs[probe-tap-2]'
  %(prog)s ... --find fixed --bad v52.0 --good main --repro 8307

The build runs in a worktree of its own; yours is left as it is. Binaries are kept by commit and build command,
so put settings into the command. What does not build, or cannot be judged, is skipped.

exit status: 0 found; 1 narrowed down to several commits; 2 could not bisect.
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "bisect",
        description="Find the commit that broke, or repaired, a test.",
        epilog=EPILOG,
    )
    parser.add_argument("--repo", type=Path, required=True, metavar="DIR", help="a VMM's git repository")
    parser.add_argument("--good", required=True, metavar="REV", help="a commit on which the test passes")
    parser.add_argument("--bad", required=True, metavar="REV", help="a commit on which it fails")
    parser.add_argument("--build", required=True, metavar="CMD", help="shell command that builds the VMM")
    parser.add_argument(
        "--binary", required=True, metavar="PATH", help="what it makes; relative to the top of the tree"
    )
    question = parser.add_mutually_exclusive_group(required=True)
    question.add_argument("--test", default="", metavar="ID", help="a test of the suite, as in results.json")
    question.add_argument(
        "--repro", default="", choices=KNOWN, help=f"an issue, as {called('repro')} judges it"
    )
    parser.add_argument(
        "--find",
        choices=("broken", "fixed"),
        default="broken",
        help="what to look for: the first commit that is broken (default), or the first that is fixed",
    )
    parser.add_argument(
        "--seed", type=int, default=None, help="the random choices of the run that printed this number"
    )
    parser.add_argument(
        "--build-minutes", type=float, default=60.0, metavar="N", help="when a build hangs (default: 60)"
    )
    parser.add_argument(
        "--report",
        type=Path,
        default=Path("report/bisect"),
        metavar="DIR",
        help="where logs and results go; earlier ones are kept (default: report/bisect)",
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for. Returns the exit status."""
    options = _parser().parse_args(arguments)
    as_interrupts()  # the worktree is removed on the way out
    try:
        return _bisect(options)
    except HarnessError as error:
        print(f"{called('bisect')}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"{called('bisect')}: stopped; what was built is kept", file=sys.stderr)
    return 2


def _bisect(options: argparse.Namespace) -> int:
    git = Git(repository(options.repo))
    good, bad = (git.commit(side, getattr(options, side)) for side in ("good", "bad"))
    check_order(git, good, bad, options.find)
    folder = RunStore(options.report).folder.absolute()
    with worktree(options.repo, good) as tree:
        plan = Plan(
            folder=str(folder),
            worktree=str(tree),
            build=options.build,
            binary=options.binary,
            build_minutes=options.build_minutes,
            find=options.find,
            test=options.test,
            issue=options.repro,
            seed=random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed,
        )
        print(f"bisect: {plan.question}, evidence in {folder}", file=sys.stderr, flush=True)
        check_ends(plan, good, bad)
        found = search(plan, good, bad)
        print(story(plan, found), end="")
    return 0 if found.first else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
