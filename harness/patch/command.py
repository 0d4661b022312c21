"""The command line of ci/patch."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import BadInput, HarnessError
from harness.expected.baseline import FOLDER, load_baselines
from harness.expected.compare import Finding, Kind, against_baselines, builds, exit_code
from harness.gate.announce import WORDS
from harness.gate.merge import gather
from harness.gate.suite import run_suite, write_report
from harness.interrupts import as_interrupts
from harness.patch.progress import Progress
from harness.patch.sides import Commits, Side, given
from harness.patch.summary import Verdict, summary
from harness.program import Parser, at_dashes, called
from harness.record.results import Run
from harness.register.register import load_register
from harness.report.history import load_history
from harness.report.html import write
from harness.report.summary import markdown_summary

SUMMARY, GATE, JUNIT, LOGS, RUNS = "summary.md", "gate.txt", "junit.xml", "builds", "runs"

STDERR = 2
"""Where the suite's output goes: standard output is the summary's alone."""

EPILOG = f"""\
examples:
  %(prog)s --repo ~/src/cloud-hypervisor --base main --head my-branch --since-fork \\
      --build 'cargo build --release' --binary target/release/cloud-hypervisor
  %(prog)s --base release:v52.0 --head ./cloud-hypervisor     builds that are there
  %(prog)s --head ./cloud-hypervisor                          one, against what is expected of it
  %(prog)s --results shards/* --base base --head head         what was run elsewhere, in shards
  %(prog)s --base ./old --head ./new -- -m 'not slow' -n 4    what follows -- is the suite's

It says on standard error what it does, prints a summary for the pull request, and leaves in the report folder
{SUMMARY}, {GATE}, {JUNIT}, results.json, report.html and the logs of the builds. Commits are built in a worktree
of their own, and binaries kept, as by {called("bisect")}: by commit and build command.

exit status: 0 as expected; 1 a regression; 2 could not judge. What was not run is never taken for good; what you
left out yourself, after --, is noted.
"""


def _parser() -> Parser:
    parser = Parser(
        "patch",
        description="From a branch to a verdict: build base and head, run the suite on both, compare.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "--repo", type=Path, metavar="DIR", help="a VMM's git repository: base and head are commits"
    )
    parser.add_argument(
        "--base",
        default="",
        metavar="REV|[NAME=]VMM|NAME",
        help="what to compare with; without --repo, a build",
    )
    parser.add_argument(
        "--head", required=True, metavar="REV|[NAME=]VMM|NAME", help="what to judge: likewise"
    )
    parser.add_argument("--build", default="", metavar="CMD", help="shell command that builds the VMM")
    parser.add_argument(
        "--binary", default="", metavar="PATH", help="what it makes; relative to the top of the tree"
    )
    parser.add_argument(
        "--since-fork", action="store_true", help="compare with the commit where head left base"
    )
    parser.add_argument(
        "--build-minutes", type=float, default=60.0, metavar="N", help="when a build hangs (default: 60)"
    )
    parser.add_argument(
        "--results",
        nargs="+",
        type=Path,
        default=[],
        metavar="SHARD",
        help="judge the shards of a run, base and head being names of builds in it",
    )
    parser.add_argument(
        "--history",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="as for the report: earlier runs",
    )
    parser.add_argument(
        "--baselines",
        type=Path,
        default=FOLDER,
        metavar="DIR",
        help="what is expected, where there is no base",
    )
    parser.add_argument(
        "--report", type=Path, default=Path("report"), metavar="DIR", help="where all goes (default: report)"
    )
    return parser


def _check(parser: Parser, options: argparse.Namespace) -> None:
    if options.repo is not None:
        if not (options.base and options.build and options.binary):
            parser.error("--repo takes --base, --build and --binary too")
        if options.results:
            parser.error("--results are of builds, not of commits: leave --repo out")
    elif options.build or options.binary or options.since_fork:
        parser.error("--build, --binary and --since-fork are about commits: give --repo")
    elif options.results and not options.base:
        parser.error("--results takes --base too, the name of a build in it")


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for. Returns the exit status."""
    ours, suite = at_dashes(arguments)
    parser = _parser()
    options = parser.parse_args(ours)
    _check(parser, options)
    as_interrupts()  # what was begun is cleared away
    progress = Progress()
    progress.say(f"all of it goes to {options.report}")
    try:
        try:
            verdict = _judge(options, suite, progress)
        except HarnessError as error:
            verdict = Verdict(2, why=str(error))
        progress.say(f"{WORDS[verdict.code]}{': ' if verdict.why else ''}{verdict.why}")
        text = summary(verdict, progress.seconds)
        print(text, end="")
        write(options.report / GATE, verdict.gate)
        write(options.report / SUMMARY, text)
    except HarnessError as error:
        progress.say(str(error))
        return 2
    except KeyboardInterrupt:
        progress.say("stopped; what was built is kept")
        return 2
    return verdict.code


def _judge(options: argparse.Namespace, arguments: Sequence[str], progress: Progress) -> Verdict:
    report: Path = options.report
    if options.results:
        sides = [Side(options.base, ""), Side(options.head, "")]
        progress.say(f"putting {len(options.results)} shards together")
        run, gone = gather(options.results, report)
        if gone:
            progress.say(f"not everything is there: shard {', '.join(map(str, gone))} is missing")
        write_report(report, report, options.history)
    else:
        sides = _sides(options, progress)
        progress.say(f"running the suite on {' and '.join(map(str, sides))}")
        vmms = [f"{side.name}={side.vmm}" for side in sides]
        run = run_suite(vmms, report, [f"--junitxml={report / JUNIT}", *arguments], output=STDERR)
    progress.say("comparing")
    return _verdict(run, sides, options, arguments)


def _sides(options: argparse.Namespace, progress: Progress) -> list[Side]:
    if options.repo is None:
        texts = {"base": options.base, "head": options.head}
        return [given(option, text) for option, text in texts.items() if text]
    commits = Commits(
        repo=options.repo,
        revisions={"base": options.base, "head": options.head},
        build=options.build,
        binary=options.binary,
        build_minutes=options.build_minutes,
        since_fork=options.since_fork,
    )
    return commits.sides((options.report / LOGS).absolute(), progress)


def _verdict(
    run: Run, sides: Sequence[Side], options: argparse.Namespace, arguments: Sequence[str]
) -> Verdict:
    for side in sides:
        if side.name not in run.names():
            raise BadInput(
                f"the run has no build called {side.name!r}: it has {', '.join(run.names()) or 'none'}"
            )
    *base, head = sides
    part = bool(arguments)
    if base:
        known = load_baselines(options.baselines)
        findings = builds((run, base[0].name), (run, head.name), baselines=known, part=part)
        code, against = exit_code(findings, changed_matters=False), f"{head} against {base[0]}"
    else:
        findings = against_baselines(run, load_baselines(options.baselines), part=part)
        code, against = exit_code(findings, changed_matters=True), f"{head} against {options.baselines}"
    if part:
        findings.append(Finding(Kind.NOTE, "", "", f"the suite was given {shlex.join(arguments)}"))
    history = load_history([options.report / RUNS, *options.history], run)
    versions = {vmm.name: vmm.version for vmm in run.vmms}
    return Verdict(
        code=code,
        sides=[side if side.vmm else replace(side, vmm=versions[side.name]) for side in sides],
        findings=findings,
        against=against,
        run=markdown_summary(run, load_register(), history),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
