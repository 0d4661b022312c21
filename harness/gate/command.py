"""ci/gate: is this run as expected, or did something change? Exit status 0 yes, 1 a regression, 2 cannot say."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from harness.errors import BadInput, HarnessError
from harness.expected.accept import accept, accept_races, needs_reason
from harness.expected.baseline import FOLDER, load_baselines, masked
from harness.expected.compare import Finding, Kind, against_baselines, builds, exit_code
from harness.expected.host_skips import accept as accept_skips
from harness.expected.host_skips import accepted, default_file, excused
from harness.gate.suite import run_suite
from harness.interrupts import as_interrupts
from harness.program import Parser
from harness.record.results import Function, Run
from harness.record.runs import newest
from harness.vmm.find import may_be_a_build

EPILOG = """\
examples:
  %(prog)s report/                                    the newest run, against ci/baselines/
  %(prog)s --base old=./ch-old --head new=./ch-new    run the suite on two builds, compare them
  %(prog)s --base old=a/results.json --head new=b/    compare two builds of runs made before
  %(prog)s report/ --base old --head new              compare two builds of one run
  %(prog)s --base old=./ch-old --head new=./ch-new --lab never -k tap    with the suite's own options
  %(prog)s report/ --accept-skips                     this host cannot run more: that is no fault from now on
  %(prog)s report/ --accept --reason "..."            from now on, expect what this run shows

exit status: 0 as expected; 1 a regression; 2 could not judge. What was not run is never taken for good; a run that was
broken off is 2, unless what it did judge is a regression already, which no missing test takes back.
"""


def _parser(*, results: bool = True) -> argparse.ArgumentParser:
    """`results`: runs can be named. They would take the values of options that this parser does not know."""
    parser = Parser(
        "gate",
        description="Compare a run with what is expected of its builds, or one build with another.",
        epilog=EPILOG,
    )
    if not results:
        parser.set_defaults(results=[])
    else:
        parser.add_argument(
            "results",
            nargs="*",
            type=Path,
            help="results.json, or a folder with one; --accept takes several of one build, and enters as races "
            "the tests that did not end alike in all",
        )
    parser.add_argument(
        "--base", metavar="NAME[=PATH]", help="the build to compare with: a VMM, or its results"
    )
    parser.add_argument("--head", metavar="NAME[=PATH]", help="the build to judge: a VMM, or its results")
    parser.add_argument(
        "--baselines", type=Path, default=FOLDER, help="folder of expectations (ci/baselines)"
    )
    parser.add_argument(
        "--report", type=Path, default=Path("report"), help="where a run made here reports to"
    )
    parser.add_argument(
        "--host-skips",
        type=Path,
        default=default_file(),
        metavar="FILE",
        help="skips that are accepted on this host, for a host that cannot run everything (%(default)s)",
    )
    parser.add_argument(
        "--accept-skips",
        action="store_true",
        help="write what the run skipped into that file: accept it here",
    )
    parser.add_argument("--accept", action="store_true", help="write what the run shows into the baselines")
    parser.add_argument("--reason", default="", help="why what is accepted is to be expected")
    parser.add_argument("--link", default="", help="an issue or measured evidence for what is accepted")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for. Returns the exit status."""
    parser = _parser()
    options, of_the_suite = parser.parse_known_args(arguments)
    if bool(options.base) != bool(options.head):
        parser.error("--base and --head go together")
    if not options.base and not options.results:
        parser.error("give a results file, or --base and --head")
    if options.accept and options.base:
        parser.error("--accept takes runs, not a comparison")
    runs_the_suite = options.base and "=" in options.base
    if of_the_suite and runs_the_suite:
        options, of_the_suite = _parser(results=False).parse_known_args(arguments)
    if of_the_suite and not runs_the_suite:
        parser.error(
            f"unrecognized arguments: {' '.join(of_the_suite)} (only a run made here has the suite's options)"
        )
    if options.accept_skips and (options.base or options.accept or len(options.results) != 1):
        parser.error("--accept-skips takes one run")
    if len(options.results) > 1 and not options.accept:
        parser.error("several runs are taken by --accept only")
    as_interrupts()
    try:
        if options.base:
            base, head = _sides(options, of_the_suite)
            part = bool(of_the_suite)
            findings = builds(base, head, baselines=load_baselines(options.baselines), part=part)
            code = exit_code(findings, changed_matters=False)
            sides = f"{head[1]} against {base[1]}"
        else:
            runs, baselines = [newest(path) for path in options.results], load_baselines(options.baselines)
            if options.accept:
                return _accept(runs, options)
            (run,) = runs
            if options.accept_skips:
                return _accept_skips(run, options.host_skips)
            findings = against_baselines(run, baselines)
            findings = excused(run, findings, accepted(options.host_skips), options.host_skips)
            code = exit_code(findings, changed_matters=True)
            sides = f"{', '.join(run.names()) or 'nothing'} against {options.baselines}"
    except HarnessError as error:
        print(f"gate: cannot judge: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gate: cannot judge: stopped; what the suite had judged is kept", file=sys.stderr)
        return 2
    print(shown(findings, sides, code), end="")
    return code


def shown(findings: Sequence[Finding], sides: str, code: int) -> str:
    """The verdict, then the findings, worst first, and the verdict again.

    One line stands for all variants of a test that show the same, and for all that was not judged for one reason.
    """
    answer = {0: "as expected", 1: "REGRESSION", 2: "COULD NOT JUDGE"}[code]
    lines = [f"gate: {answer}: {sides}"]
    for kind in Kind:
        groups: dict[tuple[str, Function | None, str], list[Finding]] = defaultdict(list)
        for finding in findings:
            if finding.kind is kind:
                origin = None if kind is Kind.LOST else finding.origin
                groups[finding.vmm, origin, masked(finding.text)].append(finding)
        for (vmm, origin, _), same in groups.items():
            first = same[0]
            name = first.test if len(same) == 1 else f"{origin or 'tests'} ({len(same)})"
            head = " ".join(part for part in (kind.value.upper(), vmm, name) if part)
            lines.append(f"{head}: {first.text}")
            if first.rerun and kind in (Kind.NEW_FAILURE, Kind.CHANGED):
                lines.append(f"    {first.rerun}")
    counts = [f"{n} {kind.value}" for kind in Kind if (n := sum(f.kind is kind for f in findings))]
    lines.append(f"gate: {answer}: {sides}" + (f" ({', '.join(counts)})" if counts else ""))
    return "\n".join(lines) + "\n"


def _accept(runs: Sequence[Run], options: argparse.Namespace) -> int:
    baselines = load_baselines(options.baselines)
    reason = options.reason.strip()
    if not reason and (len(runs) > 1 or needs_reason(runs[0], baselines)):
        if not sys.stdin.isatty():
            raise BadInput("nobody is here to ask why this is to be expected: give --reason TEXT")
        reason = input("Why is what is new here to be expected? ").strip()
        if not reason:
            raise BadInput("nothing was accepted: it takes a reason")
    if len(runs) > 1:
        changed = accept_races(runs, baselines, reason=reason, link=options.link)
    else:
        changed = accept(runs[0], baselines, options.baselines, reason=reason, link=options.link)
    for path in changed:
        print(f"wrote {path}")
    print("gate: accepted" if changed else "gate: nothing to accept: all is as expected already")
    return 0


def _accept_skips(run: Run, file: Path) -> int:
    new = accept_skips(run, file)
    for reason in new:
        print(f"accepted on this host: {reason}")
    print(f"gate: wrote {file}" if new else "gate: nothing to accept: no skip is new to this host")
    return 0


def _sides(
    options: argparse.Namespace, of_the_suite: Sequence[str]
) -> tuple[tuple[Run, str], tuple[Run, str]]:
    """The two builds, each a run and a name in it; runs the suite where paths are VMMs."""
    sides = [text.partition("=") for text in (options.base, options.head)]
    paths = [path for _, equals, path in sides if equals]
    if not paths:
        if not options.results:
            raise BadInput(
                "--base NAME --head NAME compares two builds of one run: name its results file too"
            )
        run = newest(options.results[0])
        return _named(run, sides[0][0]), _named(run, sides[1][0])
    if len(paths) == 1:
        raise BadInput("--base and --head must both have a =PATH, or neither")
    for path in paths:
        if not Path(path).exists() and not may_be_a_build(path):
            raise BadInput(f"there is no {path}: it should be a VMM, a results.json, or a folder with one")
    if not any(_is_results(path) for path in paths):
        print(f"gate: the suite runs on {sides[0][0]} and {sides[1][0]}", file=sys.stderr, flush=True)
        run = run_suite([f"{name}={path}" for name, _, path in sides], options.report, of_the_suite)
        return _named(run, sides[0][0]), _named(run, sides[1][0])
    if not all(_is_results(path) for path in paths):
        raise BadInput("one of --base and --head is a VMM and the other a results file: give two of a kind")
    return _named(newest(Path(paths[0])), sides[0][0]), _named(newest(Path(paths[1])), sides[1][0])


def _is_results(path: str) -> bool:
    return Path(path).is_dir() or path.endswith(".json")


def _named(run: Run, name: str) -> tuple[Run, str]:
    if name not in run.names():
        raise BadInput(f"the run has no VMM called {name!r}: it has {', '.join(run.names()) or 'none'}")
    return run, name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
